// The one executable. Each subcommand lives in its own file and is loaded only when it is asked for.
console.log('holdfast');

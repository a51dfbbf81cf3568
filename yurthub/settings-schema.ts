// The settings of `holdfast node` as data: the reader, the flags and `--help` are made from this one table.
import type { SettingsSchema } from '../runtime/settings.ts';
import { filterNames } from './filters/names.ts';

const MiB = 1024 * 1024;

export const nodeSettingsSchema = {
  kubeconfig: {
    type: 'file',
    doc: 'Kubeconfig that gives apiServers, certificateAuthorityFile, clientCertificateFile and clientKeyFile where they are not set; usually /etc/kubernetes/kubelet.conf.',
  },
  nodeName: { type: 'text', doc: 'Name of this node. Default: from the client certificate (system:node:NAME).' },
  apiServers: { type: 'urls', min: 1, doc: 'URLs of the API servers, https://HOST[:PORT] without a path.' },
  apiServerOrder: {
    type: ['priority', 'round-robin'],
    default: 'priority',
    doc: 'How several apiServers are used: priority takes the first that is healthy, round-robin each in turn.',
  },
  tlsServerName: {
    type: 'text',
    doc: 'Name or address that the serving certificates must carry, where it differs from the host of apiServers.',
  },
  certificateAuthorityFile: { type: 'file', doc: 'CA that signed the serving certificates of the API servers (PEM).' },
  clientCertificateFile: { type: 'file', doc: "The kubelet's client certificate (PEM). Read again when it changes." },
  clientKeyFile: { type: 'file', doc: 'Its private key (PEM). Read again when it changes.' },
  clientCAFile: {
    type: 'file',
    doc: 'CA that signs client certificates of kubelets (PEM). Default: certificateAuthorityFile.',
  },
  listen: {
    type: 'addresses',
    min: 1,
    default: ['127.0.0.1:10261', '169.254.2.1:10261'],
    doc: 'Addresses of the hub (TLS) for the clients on this node.',
  },
  manageLinkLocal: {
    type: 'boolean',
    default: true,
    doc: 'Put the link-local address of listen on the device lo, and take it off at the end.',
  },
  opsListen: {
    type: 'address',
    default: '127.0.0.1:10267',
    doc: 'Address of /healthz, /readyz and /metrics (plain HTTP).',
  },
  disabledFilters: {
    type: { listOf: filterNames },
    doc: `Filters to switch off: objects are then shown to clients as the cloud has them. Of: ${filterNames.join(', ')}.`,
  },
  dataDir: {
    type: 'folder',
    default: '/var/lib/holdfast',
    doc: 'Folder of the store and the keys; survives a reboot.',
  },
  storeKeyFile: {
    type: 'file',
    doc: 'Key that seals Secrets and tokens in the store, 32 bytes, readable by its owner alone; for one given by systemd: %d/store.key. Default: store.key in dataDir, made at the first start.',
  },
  runDir: { type: 'folder', default: '/run/holdfast', doc: 'Folder of sockets and the heartbeat file.' },
  logLevel: { type: ['error', 'warn', 'info', 'debug'], default: 'info', doc: 'Least severe level that is logged.' },
  storeMaxBytes: {
    type: 'bytes',
    default: 1024 * MiB,
    min: 16 * MiB,
    max: 1024 * 1024 * MiB,
    doc: 'Size of the store on disk beyond which nothing new is kept.',
  },
  storePendingMaxBytes: {
    type: 'bytes',
    default: 8 * MiB,
    min: 64 * 1024,
    max: 256 * MiB,
    doc: 'Memory for writes that wait while the disk is full.',
  },
  eventSpoolMaxEvents: {
    type: 'count',
    default: 1_000,
    min: 0,
    max: 100_000,
    doc: 'Events that are kept while the cloud is out of reach; further ones are refused (503).',
  },
  maxRequestBodyBytes: {
    type: 'bytes',
    default: 4 * MiB,
    min: 64 * 1024,
    max: 64 * MiB,
    doc: 'Largest request body that the hub answers itself; larger ones can only be passed through.',
  },
  offlineTokenGraceSeconds: {
    type: 'count',
    default: 604_800,
    min: 0,
    max: 31_622_400,
    doc: 'Seconds for which a token of a service account is taken beyond its expiry while no API server can be reached.',
  },
  accessRecheckSeconds: {
    type: 'count',
    default: 600,
    min: 5,
    max: 86_400,
    doc: 'Seconds after which the API server is asked again whether a service account may still read what is kept for it.',
  },
  maxConnections: {
    type: 'count',
    default: 4_000,
    min: 10,
    max: 100_000,
    doc: 'Connections of local clients at a time; further ones are closed at once.',
  },
  peers: {
    type: 'boolean',
    default: true,
    doc: 'Take part in the pool of this node, once the cluster publishes its members: answer peers, observe them, report.',
  },
  peerListen: {
    type: 'address',
    doc: 'Address of the port for peers (mutual TLS). Default: port 10268 of the address that the pool has for this node.',
  },
  peerRelay: {
    type: 'boolean',
    default: true,
    doc: 'Let peers whose own way out is gone through to apiServers, where their pool allows it.',
  },
  tunnelConfig: {
    type: 'file',
    doc: 'YAML file with the settings of holdfast tunnel-agent: the agent then runs in this process as well.',
  },
  kubeletHealthAddress: {
    type: 'address',
    default: '127.0.0.1:10248',
    doc: "The kubelet's own health port (healthzBindAddress and healthzPort), about which peers are told.",
  },
} as const satisfies SettingsSchema;

// How the nodes with Holdfast are, as the cloud knows it: from their Nodes alone, which carry what kubelet, hub and eviction guard say.
// Pure.
import { hubReportAnnotation, readHubReport, type HubReport } from '../kube/hub-report.ts';

/** Of a Node, what is read. */
export interface NodeObject {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastHeartbeatTime?: string;
  readonly lastTransitionTime?: string;
}

export interface FleetRow {
  readonly node: string;
  readonly pool: string | undefined;
  /** The version that the hub says it has; that of the conversion before it has said anything. */
  readonly version: string | undefined;
  readonly cloud: 'in reach' | 'cut off';
  /** RFC 3339: since when that is so; undefined where nobody said. */
  readonly since: string | undefined;
  /** As the hub said it last. */
  readonly report: HubReport | undefined;
  readonly verdict: 'well' | 'look' | 'broken';
  readonly why: string;
}

const poolLabel = 'apps.openyurt.io/nodepool';
/** Set by `holdfast convert`, with its version. */
const convertedAnnotation = 'holdfast.dev/converted';

/** Nodes without Holdfast are left out. In order of pools, and of names in them. */
export function fleetRows(nodes: readonly NodeObject[]): FleetRow[] {
  const order = ({ pool = '', node }: FleetRow): string => `${pool}/${node}`;
  return nodes
    .filter(
      ({ metadata: { annotations = {} } }) => convertedAnnotation in annotations || hubReportAnnotation in annotations,
    )
    .map(rowOf)
    .sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function rowOf({ metadata, status }: NodeObject): FleetRow {
  const { name, labels = {}, annotations = {} } = metadata;
  const condition = (type: string): Condition | undefined => status?.conditions?.find((each) => each.type === type);
  const ready = condition('Ready');
  const report = readHubReport(annotations[hubReportAnnotation]);
  // The node controller says Unknown when it has heard nothing for 40 s.
  const isCut = ready === undefined || ready.status === 'Unknown';
  return {
    node: name,
    pool: labels[poolLabel],
    version: report?.version ?? annotations[convertedAnnotation],
    cloud: isCut ? 'cut off' : 'in reach',
    since: isCut ? ready?.lastTransitionTime : report?.cloudSince,
    report,
    ...verdictOf(ready, condition('PeerHealth'), report, annotations[convertedAnnotation]),
  };
}

function verdictOf(
  ready: Condition | undefined,
  peers: Condition | undefined,
  report: HubReport | undefined,
  converted: string | undefined,
): Pick<FleetRow, 'verdict' | 'why'> {
  if (ready === undefined) return { verdict: 'broken', why: 'the node has never said how it is' };
  if (ready.status === 'Unknown') {
    if (peers?.reason === 'Dead') return { verdict: 'broken', why: `dead: ${peers.message ?? 'its peers say so'}` };
    if (peers?.reason === 'CutOff' || peers?.reason === 'SiteCutOff')
      return {
        verdict: 'look',
        why: `cut off, and alive as far as its peers say: ${peers.message ?? ''}`.replace(/: $/, ''),
      };
    return { verdict: 'look', why: 'nothing comes from it; whether it lives nobody in the cloud can say' };
  }
  if (ready.status === 'False')
    return { verdict: 'broken', why: `not Ready: ${ready.message ?? ready.reason ?? 'kubectl describe node'}` };
  if (report === undefined)
    return { verdict: 'look', why: 'its hub has not reported; it does within five minutes of its start' };
  if (converted !== undefined && report.version !== converted)
    return {
      verdict: 'look',
      why: `Holdfast ${converted} is installed, and ${report.version} ran when it reported last`,
    };
  return { verdict: 'well', why: '' };
}

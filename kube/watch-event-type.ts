// The types of watch events that Kubernetes knows (k8s.io/apimachinery/pkg/watch).
import type { WatchEventType } from './wire.ts';

export function isWatchEventType(type: unknown): type is WatchEventType {
  return type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK' || type === 'ERROR';
}

/** The annotation of the bookmark that ends the first part of a watch-list (KEP-3157). */
export const initialEventsEndAnnotation = 'k8s.io/initial-events-end';

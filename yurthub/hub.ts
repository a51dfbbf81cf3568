// The hub, put together: which parts there are, in which order they start and end, and what happens when the cloud
// goes and comes back.
import path from 'node:path';
import { mkdir } from 'node:fs/promises';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { ImagePullPolicyFilter, mayHoldAlways } from './filters/image-pull-policy.ts';
import { SecretCipher } from './record-cipher.ts';
import { Router } from './router.ts';
import { Seal } from './seal.ts';
import { SingleObjects } from './single-objects.ts';
import type { CloudState } from './types.ts';
import { viewMetrics } from './views/metrics.ts';
import { Presenter } from './views/presenter.ts';
import { ViewSet, type ViewSetStatus } from './views/view-set.ts';

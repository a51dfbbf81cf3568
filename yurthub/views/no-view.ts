// What lists and watches have in common when there is no view to answer from.
import { sendReply, sendStatus, sendUnknown } from '../answers.ts';
import type { HubRequest, HubResponse } from '../types.ts';
import type { Acquired } from './view-set.ts';

/** False when the request was not answered: it has to be forwarded. */
export function answerWithoutView(
  acquired: Exclude<Acquired, { kind: 'view' }>,
  request: HubRequest,
  response: HubResponse,
): boolean {
  switch (acquired.kind) {
    case 'answered':
      return true;
    case 'unkept':
      return false;
    case 'unknown':
      sendUnknown(request, response);
      return true;
    case 'invalid':
      sendStatus(request, response, acquired.refusal);
      return true;
    case 'refused':
      sendReply(response, acquired.reply);
      return true;
  }
}

// A condition in a status, as every kind of ours has them.
import { integer, object, optional, text, time } from './schema.ts';

/** `about`: what its type may say. */
export const conditionAbout = (about: string) =>
  object(
    {
      type: optional(text({ doc: about })),
      status: optional(text({ doc: 'True, False or Unknown.' })),
      observedGeneration: optional(integer({ doc: 'The generation of the spec that it is about.' }, 'int64')),
      lastTransitionTime: optional(time({ doc: 'When status changed last.' })),
      reason: optional(text({ doc: 'One word.' })),
      message: optional(text({ doc: 'For people.' })),
    },
    { doc: 'One thing that was observed.' },
  );

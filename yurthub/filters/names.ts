// The filters by the names that settings, metrics and logs use.

export const filterNames = ['image-pull-policy'] as const;
export type FilterName = (typeof filterNames)[number];

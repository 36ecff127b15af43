export type Era = 'modern' | 'legacy';

export const BOTH_ERAS: readonly Era[] = ['modern', 'legacy'];

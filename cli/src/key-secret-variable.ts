/** The variable that holds what API keys are hashed under, for `sluice keys create` and for files that refer to it. */
export const KEY_SECRET_VARIABLE = 'SLUICE_KEY_SECRET';

/** Characters of Tiny Shakespeare. */
export const VOCABULARY = 65;

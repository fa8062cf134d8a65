// Takes secrets out of text that leaves the machine: those that are known word by word, and what looks like one. It is the last of
// several fences: what is collected leaves out files, fields and lines that may hold secrets or prompts in the first place.

const SHORTEST = 6;
const MARK = '[redacted]';

/** Forms of credentials that services give out, and what stands where a URL or a header has one. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${MARK}`],
  [/\b(?:hf|sk|ghp|gho|glpat|xox[abp])[_-][A-Za-z0-9_-]{12,}\b/g, MARK],
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${MARK}@`],
  [/([?&][A-Za-z0-9_.-]*(?:key|token|secret|sig|auth|pass)[A-Za-z0-9_.-]*=)[^\s&"'#]+/gi, `$1${MARK}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----/g, MARK],
];

/** As it stands in a URL. */
function encoded(secret: string): string {
  try {
    return encodeURIComponent(secret);
  } catch {
    return secret; // half of a character stands in no URL
  }
}

/** A function that takes all of `secrets` (too short ones cannot be told from words) and everything of a secret's form out of a text. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const known = [...new Set(secrets.flatMap((secret) => {
    const trimmed = secret.trim();
    return trimmed.length < SHORTEST ? [] : [trimmed, JSON.stringify(trimmed).slice(1, -1), encoded(trimmed)];
  }))].sort((a, b) => b.length - a.length);
  return (text) => {
    const without = known.reduce((rest, secret) => rest.replaceAll(secret, MARK), text);
    return PATTERNS.reduce((rest, [pattern, by]) => rest.replace(pattern, by), without);
  };
}

/** The same for every string of a JSON value, and for its names. */
export function redactJson(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === 'string') return redact(value);
  if (Array.isArray(value)) return value.map((inner) => redactJson(inner, redact));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [redact(name), redactJson(inner, redact)]));
}

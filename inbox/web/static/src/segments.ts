// How many SMS a text takes, as networks bill it (3GPP TS 23.038 and TS 23.040). The server counts the same way:
// tests/fixtures/segments.json holds both to it.

export type Encoding = "gsm7" | "ucs2";

export interface Segments {
  encoding: Encoding;
  /** Septets of GSM-7, or UTF-16 units. */
  units: number;
  segments: number;
  /** Units that still fit before another segment begins. */
  left: number;
  /** The first character that GSM-7 has not, which makes the whole text UCS-2. */
  forcedBy: string;
}

const GSM7 = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿" +
    "abcdefghijklmnopqrstuvwxyzäöñüà",
);
const EXTENSION = new Set("\f^{}\\[~]|€");
const SINGLE = { gsm7: 160, ucs2: 70 };
const PART = { gsm7: 153, ucs2: 67 };

export function count(text: string): Segments {
  const characters = [...text];
  const forcedBy = characters.find((each) => !GSM7.has(each) && !EXTENSION.has(each)) ?? "";
  const encoding: Encoding = forcedBy ? "ucs2" : "gsm7";
  const sizes = characters.map((each) => (forcedBy ? each.length : EXTENSION.has(each) ? 2 : 1));
  const units = sizes.reduce((sum, size) => sum + size, 0);
  if (units <= SINGLE[encoding]) {
    return { encoding, units, segments: units ? 1 : 0, left: SINGLE[encoding] - units, forcedBy };
  }
  let segments = 1;
  let used = 0;
  for (const size of sizes) {
    if (used + size > PART[encoding]) [segments, used] = [segments + 1, 0];
    used += size;
  }
  return { encoding, units, segments, left: PART[encoding] - used, forcedBy };
}

// The Huffman code of HPACK (RFC 7541 appendix B), decoding only: what we send is not compressed. The code is canonical, so
// that the lengths of its words are all there is to know.

/** Bits of the word for each byte, and at last for the end of a string. */
const wordBits = `
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28
28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6
5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7
7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5
6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23
24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23
21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25
19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23
26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30
`
  .trim()
  .split(/\s+/)
  .map(Number);

const endOfString = 256;

/**
 * A binary tree in one array: two places per node, for the bits 0 and 1. Above zero: the next node; below: a symbol, as -1
 * minus the symbol. A full tree, since the code is complete.
 */
const tree = makeTree();

function makeTree(): Int16Array {
  const nodes = new Int16Array(2 * wordBits.length);
  let count = 1;
  let word = 0;
  let bits = 0;
  const symbols = [...wordBits.keys()].toSorted((a, b) => bitsOf(a) - bitsOf(b) || a - b);
  for (const symbol of symbols) {
    word *= 2 ** (bitsOf(symbol) - bits);
    bits = bitsOf(symbol);
    let node = 0;
    for (let bit = bits - 1; bit >= 0; bit -= 1) {
      const place = 2 * node + ((word >>> bit) & 1);
      if (bit === 0) nodes[place] = -1 - symbol;
      else {
        if (nodes[place] === 0) nodes[place] = count++;
        node = nodes[place] as number;
      }
    }
    word += 1;
  }
  return nodes;
}

function bitsOf(symbol: number): number {
  return wordBits[symbol] as number;
}

/** The text of these bytes, in latin1; undefined when they are no code: a wrong end, or the word for it within. */
export function huffmanDecode(bytes: Buffer, from: number, to: number): string | undefined {
  // No word is shorter than five bits.
  const text = Buffer.allocUnsafe(Math.floor(((to - from) * 8) / 5));
  let length = 0;
  let node = 0;
  /** Bits since the last word, and whether all were ones: what may be left at the end (RFC 7541 5.2). */
  let open = 0;
  let ones = true;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] as number;
    for (let bit = 7; bit >= 0; bit -= 1) {
      const one = (byte >>> bit) & 1;
      const next = tree[2 * node + one] as number;
      if (next >= 0) {
        node = next;
        open += 1;
        ones &&= one === 1;
        continue;
      }
      const symbol = -1 - next;
      if (symbol === endOfString) return undefined;
      text[length++] = symbol;
      node = 0;
      open = 0;
      ones = true;
    }
  }
  return open <= 7 && ones ? text.toString('latin1', 0, length) : undefined;
}

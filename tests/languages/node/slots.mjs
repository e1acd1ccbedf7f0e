// The slot of a key, worked out as docs/wire.md says. Run by itself it answers each line of standard input.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const SLOTS = 16;

export function slot(key) {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(key, "ascii")) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return String(((crc ^ 0xffffffff) >>> 0) % SLOTS).padStart(2, "0");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const key of readFileSync(0, "ascii").split("\n").filter(Boolean)) {
    console.log(slot(key));
  }
}

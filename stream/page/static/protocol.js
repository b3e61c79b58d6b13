// The messages of /live as they arrive: see messages.py for the layout.

const text = new TextDecoder();

/** A binary message as {header, jpegs}: the JPEGs are views into the message, nothing is copied. */
export function decodePicture(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(text.decode(new Uint8Array(buffer, 4, size)));
  let offset = 4 + size;
  const jpegs = header.jpeg.map((length) => {
    const bytes = new Uint8Array(buffer, offset, length);
    offset += length;
    return bytes;
  });
  return { header, jpegs };
}

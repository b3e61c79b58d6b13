// The pictures: decoded off the main thread, drawn together in one animation frame.

const PATIENCE = 4000; // ms for a decoder: one whose process has died, or slept with the computer, may never answer

/** A picture's bitmap; rejected where there is none, or none in time. */
export function decode(bytes) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("no picture in time")), PATIENCE));
  return Promise.race([createImageBitmap(new Blob([bytes], { type: "image/jpeg" })), late]);
}

export class Stage {
  /** onDrawn(header, bitmap, originalBitmap or null) runs after each drawing, while the bitmaps are alive. */
  constructor(magnified, original, onDrawn) {
    this.canvases = [magnified, original];
    this.contexts = this.canvases.map((canvas) => canvas.getContext("2d", { alpha: false }));
    this.onDrawn = onDrawn;
  }

  /** Settled once the pictures are drawn, or cannot be. */
  async show(header, jpegs) {
    const bitmaps = await Promise.all(jpegs.map(decode));
    await new Promise((resolve) => requestAnimationFrame(resolve));
    try {
      bitmaps.forEach((bitmap, index) => this.draw(index, bitmap));
      this.canvases[0].header = header;
      this.onDrawn(header, bitmaps[0], bitmaps[1] ?? null);
    } finally {
      for (const bitmap of bitmaps) bitmap.close();
    }
  }

  draw(index, bitmap) {
    const canvas = this.canvases[index];
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
    }
    this.contexts[index].drawImage(bitmap, 0, 0);
  }
}

// The pictures: decoded off the main thread, drawn together in one animation frame, then the credit goes back.

const blob = (bytes) => new Blob([bytes], { type: "image/jpeg" });

export class Stage {
  /** onDrawn(header, bitmap, originalBitmap or null) runs after each drawing, while the bitmaps are alive. */
  constructor(magnified, original, onDrawn) {
    this.canvases = [magnified, original];
    this.contexts = this.canvases.map((canvas) => canvas.getContext("2d", { alpha: false }));
    this.onDrawn = onDrawn;
  }

  async show(header, jpegs) {
    const bitmaps = await Promise.all(jpegs.map((bytes) => createImageBitmap(blob(bytes))));
    requestAnimationFrame(() => {
      bitmaps.forEach((bitmap, index) => this.draw(index, bitmap));
      this.canvases[0].header = header;
      this.onDrawn(header, bitmaps[0], bitmaps[1] ?? null);
      for (const bitmap of bitmaps) bitmap.close();
    });
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

/** A photo as the page holds it. */

/**
 * What the page knows of a file. The service decides what is a photo, not the browser: it reads
 * formats that browsers do not show, and says what is wrong with a file in its own words.
 */
export async function readPhoto(file) {
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(file); // upright: EXIF orientation is applied
  } catch {
    // not shown; the boxes stand on a blank then
  }
  return {
    file,
    name: file.name ?? "photo",
    bitmap,
    width: bitmap?.width ?? 0,
    height: bitmap?.height ?? 0,
  };
}

/** "451 × 300, 38 kB" */
export function describePhoto({ file, width, height }) {
  const size =
    file.size < 1_000_000
      ? `${Math.ceil(file.size / 1000)} kB`
      : `${(file.size / 1_000_000).toFixed(1)} MB`;
  return width ? `${width} × ${height}, ${size}` : size;
}

// --image: with its tag or digest, since an image without one is another one tomorrow.
import { UsageError } from './errors.ts';

/** Throws UsageError. */
export function checkedImage(image: string | undefined, version: string): string | undefined {
  if (image !== undefined && !/^[^\s:@]+(:\d+)?(\/[^\s:@]+)*(:[\w.-]+|@sha256:[0-9a-f]{64})$/.test(image))
    throw new UsageError(
      `--image is an image with its tag, such as registry.example.com/holdfast:${version}, not ${image}`,
    );
  return image;
}

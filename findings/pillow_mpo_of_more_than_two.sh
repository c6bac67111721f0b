#!/usr/bin/env bash
# Pillow 13.0.0 writes MPO files of three and more pictures with wrong sizes, and of four and more
# with wrong places: it does not find its own fourth picture again.
#
# What one would expect: pictures saved with save_all=True come back, each in its place, and the
# index of the file (MP Entry, CIPA DC-007) names the bytes of each picture.
# What happens: two pictures are right. With three the index says that the third one is longer than
# it is, beyond the end of the file: a reader that takes pictures by size gets too much. With four
# or more, n_frames is right, but from the fourth on seek() fails or shows nothing of that picture.
# Saving raises no error and no warning. All pictures are in the file, one behind the other.
# Seen with: Pillow 13.0.0, Python 3.11, Linux x86-64.
#
#   bash findings/pillow_mpo_of_more_than_two.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

from PIL import Image

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200)]
MP_ENTRIES = 0xB002
seen = {}
for count in range(2, 6):
    pictures = [Image.new("RGB", (48, 32), colour) for colour in COLOURS[:count]]
    stream = io.BytesIO()
    pictures[0].save(stream, "MPO", save_all=True, append_images=pictures[1:])
    content = stream.getvalue()
    # The pictures stand behind each other: where each begins says how long it is.
    begins = [at for at in range(len(content)) if content.startswith(b"\xff\xd8\xff", at)]
    assert len(begins) == count, "all pictures are in the file"
    sizes = [end - at for at, end in zip(begins, [*begins[1:], len(content)])]
    back = Image.open(io.BytesIO(content))
    assert back.n_frames == count
    said = [entry["Size"] for entry in back.mpinfo[MP_ENTRIES]]
    found = []
    for number, colour in enumerate(COLOURS[:count]):
        try:
            back.seek(number)
            pixel = back.convert("RGB").getpixel((24, 16))
            found.append(max(abs(a - b) for a, b in zip(pixel, colour)) < 8)
        except Exception as error:
            found.append(False)
            print(f"  picture {number + 1} of {count}: {type(error).__name__}: {error}")
    print(f"{count} pictures: sizes {sizes}, in the index {said}, come back: {found}")
    seen[count] = said == sizes, found
described = {
    count: (count == 2, [number < 3 for number in range(count)]) for count in range(2, 6)
}
print("as described" if seen == described else f"CHANGED: {seen}")
sys.exit(seen != described)
PYTHON

"""Draw sentences of raw text for annotation, in files of a few hundred lines.

Half of them at random; half among those in which a student is least certain, so that the annotator's time goes where
labels teach most. With ``--wanted``, only sentences in which the student finds an entity of these types, or a name with
Latin letters and digits in it (many a product has one).

    python training/annotation/draw.py ../shared/data/raw -o runs/annotation --model models/student-cluener
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

import distillex

SHORTEST, LONGEST = 10, 80
SENTENCES = {
    "commerce.txt": 2000,
    "social.txt": 1800,
    "news_modern.txt": 2400,
    "cnews.txt": 1000,
    "thucnews_titles.txt": 400,
    "traditional.txt": 1100,
    "car_reviews.txt": 500,
    "reviews.txt": 300,
    "law.txt": 500,
    "jobs.txt": 500,
    "encyclopedia.txt": 600,
    "dialogue.txt": 400,
    "medical.txt": 200,
    "fiction.txt": 200,
    "misc.txt": 300,
}
MODEL_NAME = re.compile(r"[A-Za-z]+[ -]?[0-9]|[0-9][A-Za-z]+[^A-Za-z0-9%]")
END = re.compile(r"(?<=[。！？!?；])")


def segments(path: Path, limit: int, generator: random.Random) -> list[tuple[int, int, str]]:
    """Return line number from 1, offset and text of pieces of lines; one piece a line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for number in generator.sample(range(len(lines)), min(len(lines), 3 * limit)):
        line = lines[number]
        if SHORTEST <= len(line) <= LONGEST:
            found.append((number + 1, 0, line))
        else:
            pieces, begin = [], 0
            for piece in END.split(line):
                if SHORTEST <= len(piece) <= LONGEST:
                    pieces.append((number + 1, begin, piece))
                begin += len(piece)
            if pieces:
                found.append(generator.choice(pieces))
        if len(found) == limit:
            break
    return found


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="folder of raw text")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="cluener", help="student whose uncertain sentences are drawn")
    parser.add_argument("--lines", type=int, default=300, help="of a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="sentences.jsonl of earlier draws")
    parser.add_argument("--wanted", nargs="*", default=[], help="entity types")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of sentences")
    parser.add_argument("--first", type=int, default=0, help="number of the first sentence")
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    tagger = distillex.load(arguments.model)
    drawn = []
    seen = {json.loads(line)["text"] for path in arguments.exclude for line in path.read_text("utf-8").splitlines()}
    for name, usual in SENTENCES.items():
        count = int(usual * arguments.share)
        candidates = []
        for candidate in segments(arguments.raw / name, (16 if arguments.wanted else 4) * count, generator):
            if candidate[2] not in seen:
                seen.add(candidate[2])
                candidates.append(candidate)
        chosen, rest = candidates[: count // 2], candidates[count // 2 :]
        found = tagger.extract_batch([text for _, _, text in rest])
        if arguments.wanted:
            chosen = []
            kept = [
                i
                for i, (_, _, text) in enumerate(rest)
                if any(entity.type in arguments.wanted for entity in found[i]) or MODEL_NAME.search(text)
            ]
            rest, found = [rest[i] for i in kept], [found[i] for i in kept]
        doubt = [sum(1 - entity.score for entity in entities) for entities in found]
        order = sorted(range(len(rest)), key=lambda i: -doubt[i])[: (count - len(chosen)) * 2]
        chosen += [rest[i] for i in generator.sample(order, min(len(order), count - len(chosen)))]
        drawn += [
            {
                "id": f"{name.removesuffix('.txt')}-{line}-{start}",
                "file": name,
                "line": line,
                "start": start,
                "text": text,
            }
            for line, start, text in chosen
        ]
    generator.shuffle(drawn)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "sentences.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in drawn)
    for begin in range(0, len(drawn), arguments.lines):
        part = drawn[begin : begin + arguments.lines]
        first = arguments.first + begin
        lines = [f"{first + i}\t{record['text']}\n" for i, record in enumerate(part)]
        path = arguments.output / f"{first // arguments.lines:03d}.txt"
        path.write_text("".join(lines), encoding="utf-8")
    print(f"{len(drawn)} sentences in {arguments.output}")


if __name__ == "__main__":
    main()

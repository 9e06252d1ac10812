"""Rows that keep every rule, to be broken one at a time."""

LIMITS = {"blur_minimum": 100.0, "blur_maximum": 8000.0, "flat_share_maximum": 0.5}


def image(number, **changes):
    return {
        "id": f"{number:064x}",
        "shard": "shards/a.tar",
        "offset": 512 * number,
        "length": 100,
        "origin": f"photos/{number}.jpg",
        "scene": f"scene{number}",
        "split": "train",
        "width_px": 300,
        "height_px": 260,
        "bytes": 100,
        "format": "jpeg",
        "frames": 1,
        "source": "photos",
        "url": "",
        "licence": "own",
        "trusted": False,
        "phash": "0" * 16,
        "blur": 200.0,
        "flat_share": 0.1,
        "quality": 0.5,
        "group": "",
        "verdict": "kept",
        "reason": "",
        "related": "",
    } | changes


def lost(number, **changes):
    """A row of a picture that could not be read."""
    empty = dict.fromkeys(["shard", "offset", "length", "width_px", "height_px", "format", "blur", "flat_share", "quality"])
    return image(number, **empty, **{"verdict": "failed", "reason": "truncated", "id": "", **changes})


def rejected(number, reason="blurred", **changes):
    return image(number, **{"verdict": "rejected", "reason": reason, **changes})


def pair(number, epoch, **changes):
    return {
        "id": f"{number:032x}{epoch:032x}",
        "hq_id": f"{number:064x}",
        "epoch": epoch,
        "seed": 0,
        "split": "train",
        "recipe": "{}",
        "shard": "shards/a.tar",
        "offset": 512,
        "length": 10,
    } | changes


def named(row):
    """What a sentence calls a row."""
    start = (row["id"] or "")[:12] or "no id"
    return f"{start} ({row['origin']})" if "origin" in row else start

"""What is to be said of CUB and CARS whenever they are used. No torch."""

from mlcore.layouts.base import Options


def caveats(title: str, are: str, seen: str, options: Options) -> list[str]:
    """are: what its labels are. seen: what ImageNet has of them."""
    text = f"Closed-set caveat: the labels of {title} are {are}, and ImageNet, on which most networks are pretrained, "
    notes = [f"{text}has {seen} too: even with other labels in validation, little of it is new to such a network."]
    if options.split == "closed":
        text = (
            "Closed split: every label is in train and in validation, so figures tell how labels are found again that "
        )
        text += "were trained on, not new ones. Check, train and evaluate take such a table with --closed-set, which "
        text += "the report then states; in a loop of your own "
        notes.append(f'{text}`manifest_from_table(..., shared_labels="warning")` takes it.')
    return notes

"""A training run's curve, as `seblock.train` leaves it beside the weights."""

from collections.abc import Mapping, Sequence

from seblock.plots.toolkit import Picture, canvas, png, styled


@styled
def curve(log: Sequence[Mapping[str, float]]) -> Picture:
    """Loss and accuracy over the epochs, on the training images and on the test images."""
    figure, axes = canvas(1, 2, 5.0)
    epochs = [row["epoch"] for row in log]
    for ax, name, factor, words in zip(
        axes[0], ("loss", "accuracy"), (1, 100), ("cross-entropy", "accuracy in %"), strict=True
    ):
        ax.plot(epochs, [factor * row[name] for row in log], "o-", label="training, augmented")
        ax.plot(epochs, [factor * row[f"test_{name}"] for row in log], "s-", label="test")
        ax.set(xlabel="epochs", ylabel=words)
        ax.legend()
    last = log[-1]
    return Picture(
        figure,
        f"Loss and accuracy over {len(log)} epochs: {last['accuracy']:.1%} right of the training images, "
        f"{last['test_accuracy']:.1%} of the test images.",
    )


def png_of(log: Sequence[Mapping[str, float]]) -> bytes:
    """The curve as a PNG file's bytes."""
    return png(curve(log).figure)

"""How large a table is reproduced."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Scale:
    """Settings for every training of a table.

    ``settings`` ("key=value") change each row's recipe before the row's own settings do;
    ``teacher_network`` puts another network in the teachers' place. ``view`` is where teachers look
    (`train.sections.Distill`), None for what the recipe says. ``repeats`` None is the paper's
    number. ``about`` says all of it in words.
    """

    name: str
    settings: tuple[str, ...]
    teacher_network: tuple[str, ...]
    view: Literal["augmented", "original"] | None
    repeats: int | None
    about: str

    @property
    def of_teachers(self) -> tuple[str, ...]:
        """What changes the recipe of a student's teacher, after its own settings."""
        return (*self.settings, *self.teacher_network)


SCALES: dict[str, Scale] = {
    "paper": Scale(
        name="paper",
        settings=(),
        teacher_network=(),
        view=None,
        repeats=None,
        about="Input size, epochs, learning rate, schedule, repeats and networks are the paper's.",
    ),
    "small": Scale(
        name="small",
        settings=(
            "input_size=128",
            "epochs=15",
            "lr=1e-3",
            "schedule={warmup_epochs: 1}",
            "early_stop=null",
        ),
        teacher_network=("network=attention_unet", "network_options={width: 32}"),
        view="original",
        repeats=1,
        about=(
            "For two processor cores: 128x128, 15 epochs, one seed, learning rate 1e-3 falling to "
            "0 along a cosine after one epoch of warm-up (a row's own settings go first), no early "
            "stop; teachers are `attention_unet` at half width, which predict each plain image "
            "once. The papers train far longer, on larger images and larger teachers: compare rows "
            "with each other, not with what was published."
        ),
    ),
}

"""What a shell may complete: experiments, and settings with the values they take."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

# bash splits words at `=` and adds a space after a complete word; both are wrong for section.key=value
_BASH_END = "    return 0\n"
_BASH_SETTINGS = """    if [[ ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2> /dev/null
    fi

"""
_BASH_WORDS = "COMP_WORDBREAKS=${COMP_WORDBREAKS//=}\n"


def completion_script(shell: str, command: click.Command) -> str:
    """Return the completion script of a shell.

    Args:
        shell: `bash`, `zsh` or `fish`.
        command: the whole command line.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(command, {}, "bottleneck", "_BOTTLENECK_COMPLETE").source()
    if shell != "bash":
        return script
    return _BASH_WORDS + script.replace(_BASH_END, _BASH_SETTINGS + _BASH_END)


def complete_experiment(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ready-made experiments and the `.toml` files that begin so."""
    from bottleneck_features.pipeline.experiment_file import ready_made

    folder, stem = (
        (Path(incomplete).parent, Path(incomplete).name) if not incomplete.endswith("/") else (Path(incomplete), "")
    )
    files = [path for path in sorted(folder.glob(f"{stem}*")) if path.suffix == ".toml" or path.is_dir()]
    found = [str(path) + ("/" if path.is_dir() else "") for path in files if not path.name.startswith(".")]
    return [CompletionItem(name) for name in ready_made() if name.startswith(incomplete)] + [
        CompletionItem(name) for name in found
    ]


def complete_setting(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the settings that begin so, or after the `=` the values such a setting takes."""
    from bottleneck_features.pipeline.experiment_file import setting_choices, setting_names

    name, equals, value = incomplete.partition("=")
    if not equals:
        return [CompletionItem(f"{setting}=") for setting in setting_names() if setting.startswith(name)]
    before, comma, last = value.rpartition(",")
    return [
        CompletionItem(f"{name}={before}{comma}{choice}") for choice in setting_choices(name) if choice.startswith(last)
    ]


def complete_section(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the sections and settings that begin so."""
    from bottleneck_features.pipeline.experiment_file import setting_names

    names = (word for name in setting_names() for word in (name.rpartition(".")[0], name) if word)
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(incomplete)]

"""The command line: it parses, calls one stage and prints its result."""

import logging
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import click

from bottleneck_features.pipeline.commandline.cli_cache import cache
from bottleneck_features.pipeline.commandline.cli_data import (
    features_command,
    init_command,
    inspect_command,
    run_command,
)
from bottleneck_features.pipeline.commandline.cli_evaluate import evaluate_command
from bottleneck_features.pipeline.commandline.cli_frame import (
    CLICK_CONTEXT,
    SPREAD,
    Commands,
    Request,
    all_option,
    asked,
    cross_validated,
    seeded,
    show,
)
from bottleneck_features.pipeline.commandline.cli_layers import layers_command
from bottleneck_features.pipeline.commandline.cli_networks import compare_networks
from bottleneck_features.pipeline.commandline.cli_settings import experiments_command, settings_command
from bottleneck_features.pipeline.commandline.cli_use import (
    completions_command,
    doctor_command,
    export_command,
    predict_command,
)
from bottleneck_features.pipeline.commandline.next_steps import (
    after_advice,
    after_comparison,
    after_report,
    after_training,
    typed,
)
from bottleneck_features.pipeline.commandline.output import VisibleFormatter
from bottleneck_features.pipeline.commandline.parsed import parsed_sizes
from bottleneck_features.pipeline.commandline.printed_results import (
    print_advice,
    print_bench,
    print_comparison,
    print_label_curve,
    print_probe,
    print_report,
    print_trained,
)
from bottleneck_features.pipeline.method_names import NETWORKS
from bottleneck_features.pipeline.method_row import CURVE_SEEDS
from bottleneck_features.quiet import import_tensorflow

if TYPE_CHECKING:  # it loads what computes, and --help needs none of that
    from bottleneck_features.pipeline.evaluation.study import Study


def study_of(request: Request, command: str) -> "Study":
    """Open what a command's options name."""
    from bottleneck_features.pipeline.evaluation.study import open_study

    return open_study(request.experiment, request.home, command, request.options)


def study_with_features(request: Request, command: str) -> "Study":
    """Open what a command's options name and its features."""
    from bottleneck_features.pipeline.evaluation.study import open_study_with_features

    return open_study_with_features(request.experiment, request.home, command, request.options)


@click.group(cls=Commands, context_settings=CLICK_CONTEXT)
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(version("bottleneck-features"), prog_name="bottleneck")
def main(debug: bool) -> None:
    """What is a pre-trained ConvNet worth on your images?

    \b
      bottleneck run pictures/         a folder of images for each class: the answer, a report, a trained model
      bottleneck predict -e pictures holiday/
      bottleneck evaluate pictures other-pictures/    how good that model is on other pictures with labels

    The same step by step, on your images or on an experiment that is ready:

    \b
      bottleneck inspect    pictures/
      bottleneck features   -e photo-patches
      bottleneck train-head -e photo-patches --set head.epochs=100
      bottleneck probe      -e photo-patches
      bottleneck compare    -e photo-patches

    Exit codes: 0 done, 1 the work failed, 2 the request was wrong.
    """
    warnings = logging.StreamHandler(sys.stderr)
    warnings.setFormatter(VisibleFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[warnings])


@main.command("train-head")
@asked
@all_option
def train_head_command(request: Request, everything: bool) -> None:
    """Stage two: train the walk-through's head on the last cached layer, in seconds.

    Also measures its calibration (whether confidence matches accuracy), before and after temperature scaling on
    validation images.

    \b
    Example: bottleneck train-head -e photo-patches --set head.epochs=100 --set head.dropout=0.5
    """
    study = study_with_features(request, "train-head")
    from bottleneck_features.pipeline.stages.train_head import train_head

    result = train_head(study)
    show(request, result, partial(print_trained, everything=everything), lambda _: typed("probe", request.options))


@main.command("compare")
@asked
@cross_validated
@click.option(
    "--label-curve", "sizes", metavar="SIZES",
    help="Make a label curve instead: train on these numbers of labelled images per class, such as 1,5,10,50,100,all.",
)  # fmt: skip
@click.option(
    "--backbones", metavar="A,B,…",
    help="Compare pre-trained networks instead: the best probe of each, such as resnet18,efficientnet-lite0,mine.keras.",
)  # fmt: skip
@seeded(f"{SPREAD} With --label-curve: seeds per point.  [default: 3]")
@all_option
def compare_command(
    request: Request, folds: int | None, repeats: int | None, sizes: str | None, backbones: str | None, seeds: int | None,
    everything: bool,
) -> None:  # fmt: skip
    """Compare methods on the same images: frozen features, fine-tuning, networks trained from scratch.

    \b
    Choose them: --set compare.methods=head,logistic,ridge,knn,best-probe,fine-tune,convnet-small
    head, logistic, ridge, knn   classifiers of frozen features; @LAYER or @LAYER+LAYER names the layers
    best-probe                   the one of them that `probe` keeps
    fine-tune, from-pretrained, from-scratch   the network itself is trained
    convnet-small, convnet-strong              small networks trained from scratch

    Writes result.json and report.html, as `report` does. With --label-curve it compares linear probes with the small ConvNet at
    growing numbers of labelled images instead, to show from how many labels on transfer learning no longer helps. That
    result is in runs/EXPERIMENT/label-curve.

    With --backbones it says which pre-trained network is best on these images, or that it cannot be told: the features of
    each are extracted once and kept, and the best probe of each is compared on the same images and folds, with speed, size and
    licence. Networks see images of input.size, unless one is named as NAME@SIZE. The result is in
    runs/EXPERIMENT/compare-backbones.

    \b
    Example: bottleneck compare -e digits
             bottleneck compare -e digits --seeds 5
             bottleneck compare -e digits --label-curve 1,5,10,50,100,all --seeds 5
             bottleneck compare -e digits --backbones efficientnet-lite0,mine.keras@32
    """
    if backbones is not None:
        others = {"--label-curve": sizes, "--seeds": seeds}
        compare_networks(request, backbones, folds, repeats, others, everything)
        return
    if sizes is not None:
        wanted, study = parsed_sizes(sizes), study_with_features(request, "label-curve")
        from bottleneck_features.pipeline.stages.label_curve import label_curve

        curve = label_curve(study, wanted, seeds or CURVE_SEEDS)
        show(
            request,
            curve,
            partial(print_label_curve, everything=everything),
            lambda _: typed("compare", request.options),
        )
        return
    study = study_with_features(request, "compare")
    from bottleneck_features.pipeline.methods.cross_validation import folding_of
    from bottleneck_features.pipeline.methods.seeds import seeds_of
    from bottleneck_features.pipeline.stages.compare import compare
    from bottleneck_features.pipeline.stages.report import report

    result = compare(study, folding_of(study, folds, repeats), seeds_of(study, seeds))
    page = report(study.for_command("report")).details["files"][0]
    probed = study.folder.parent / "probe"
    show(
        request,
        result,
        partial(print_comparison, page=page, everything=everything),
        lambda content: after_comparison(content, request.options, request.of_models, probed),
    )


@main.command("fine-tune")
@asked
@click.option(
    "--method",
    type=click.Choice(NETWORKS),
    default="fine-tune",
    show_default=True,
    help="What is trained; see above.",
)
@all_option
def fine_tune_command(request: Request, method: str, everything: bool) -> None:
    """Train the network itself, with a new last layer, on the splits of the frozen methods.

    \b
    fine-tune        starts from the pre-trained weights. The new layer starts from a linear probe on
                     the cached features. Batch norm stays as pre-trained: statistics of small batches
                     are noisy. --set finetune.from_layer=conv5_block1 freezes all layers before that one.
    from-pretrained  trains the whole network, batch norm too, from the pre-trained weights, at a higher
                     learning rate (finetune.fresh_learning_rate), as the walk-through does.
    from-scratch     the same from random weights.

    A checkpoint is written after every epoch: the same command continues a run that was killed.
    With pip install 'bottleneck-features[tensorboard]', tensorboard --logdir artifacts/runs shows the training.

    \b
    Example: bottleneck fine-tune -e photo-patches --set finetune.epochs=3
             bottleneck fine-tune -e cifar10 --method from-pretrained --set finetune.epochs=25
    """
    study = study_of(request, method)
    import_tensorflow()
    from bottleneck_features.pipeline.stages.fine_tune import fine_tune

    show(
        request,
        fine_tune(study),
        partial(print_trained, everything=everything),
        lambda content: after_training(content, request.of_models),
    )


@main.command("probe")
@asked
@cross_validated
@seeded(SPREAD)
@all_option
def probe_command(
    request: Request, folds: int | None, repeats: int | None, seeds: int | None, everything: bool
) -> None:
    """Probe every cached layer, and layers side by side: logistic regression, ridge, k-NN and the walk-through's head.

    Settings are chosen on validation images; the best of each family is scored once on the test images. Writes
    result.json, pictures, head.npz with the classifier that is kept, and head-FAMILY.npz with that of every family
    (`predict --model probe:ridge`). What decides is score.select: accuracy, or balanced accuracy where classes are unequal.
    Where there are too few images for a test split, figures are cross-validated.

    \b
    Example: bottleneck probe -e photo-patches
             bottleneck probe -e photo-patches --seeds 5
             bottleneck probe -e natural-images --set dataset.path=pictures --folds 5 --repeats 10
    """
    study = study_with_features(request, "probe")
    from bottleneck_features.pipeline.methods.cross_validation import folding_of
    from bottleneck_features.pipeline.methods.seeds import seeds_of
    from bottleneck_features.pipeline.stages.probe import probe

    result = probe(study, folding_of(study, folds, repeats), seeds_of(study, seeds))
    show(request, result, partial(print_probe, everything=everything), lambda _: typed("compare", request.options))


@main.command("advise")
@asked
@cross_validated
def advise_command(request: Request, folds: int | None, repeats: int | None) -> None:
    """Recommend a method for the data, from cached features and validation images, and name the next command.

    It probes every cached layer, trains the small ConvNet where that takes under two minutes, makes a learning curve, and
    recommends what it has measured. It says which other methods may be better, what they cost, and where the evidence is not
    enough. The test images are not used.

    \b
    Example: bottleneck advise -e photo-patches
    """
    study = study_with_features(request, "advise")
    from bottleneck_features.pipeline.methods.cross_validation import folding_of
    from bottleneck_features.pipeline.stages.advise import advise

    show(request, advise(study, folding_of(study, folds, repeats)), print_advice, after_advice)


@main.command("report")
@asked
def report_command(request: Request) -> None:
    """Collect all results of an experiment on one page: report.html, which needs no network and can be printed.

    It shows the results of compare, probe, train-head, fine-tune, --label-curve, inspect and advise, with the most
    confident mistakes, their nearest training images and a map of the features. Nothing is trained or scored. Missing
    results are listed with the command that adds them. Results of other features or images are left out, and the page
    says so. Without --set the report uses the settings of the last command that scored a method.

    \b
    Example: bottleneck report -e photo-patches
    """
    from bottleneck_features.pipeline.reporting.sources import as_last_scored
    from bottleneck_features.pipeline.stages.report import report

    if not request.overrides:
        experiment, options = as_last_scored(request.experiment, request.home, request.options)
        request = replace(request, experiment=experiment, options=options)
    show(
        request,
        report(study_of(request, "report")),
        print_report,
        lambda content: after_report(
            content, request.of_models, request.home / "runs" / request.experiment.name / "probe"
        ),
    )


@main.command("bench")
@asked
@click.option(
    "--quick", is_flag=True, help="Fewer images, repeats and precisions: about two minutes on two idle cores."
)
@all_option
def bench_command(request: Request, quick: bool, everything: bool) -> None:
    """Measure stage one on this machine: the walk-through's script, the bare forward pass, and the full stage.

    \b
    Example: bottleneck bench -e cifar10 --quick
    """
    from bottleneck_features.pipeline.stages.bench import FULL_EFFORT, QUICK_EFFORT, bench

    result = bench(request.experiment, request.home, QUICK_EFFORT if quick else FULL_EFFORT)
    show(request, result, partial(print_bench, everything=everything), lambda _: typed("features", request.options))


for command in (
    run_command,
    init_command,
    inspect_command,
    features_command,
    experiments_command,
    settings_command,
    layers_command,
    cache,
    predict_command,
    evaluate_command,
    export_command,
    doctor_command,
    completions_command,
):
    main.add_command(command)

"""What you run: experiments, data sets, the stages, evaluation, report and the command line."""

if __name__ != "bottleneck_features.pipeline":
    raise ImportError("`pipeline` is a part of bottleneck-features: import bottleneck_features.pipeline instead.")

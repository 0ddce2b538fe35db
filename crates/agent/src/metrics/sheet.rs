//! What is measured, as values: families of samples, whatever form they leave in.

/// What sort of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Goes up and down.
    Gauge,
    /// Counts since the agent started.
    Counter,
}

/// What all samples of a family share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    /// Its name without the unit, and without the `_total` of a counter.
    pub(super) name: &'static str,
    /// What it says, in one sentence.
    pub(super) help: &'static str,
    /// In what it is measured, where it has a unit.
    pub(super) unit: Option<Unit>,
    /// What sort of number it is.
    pub(super) sort: Sort,
}

/// In what something is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Bytes,
}

impl Unit {
    /// As Prometheus spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }

    /// As UCUM does.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Bytes => "By",
        }
    }
}

/// A label and its value.
pub(super) type Label = (&'static str, String);

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Vec<Label>,
    pub(super) value: f64,
}

/// All families with something to say, in the order of the list they come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sheet(Vec<(Family, Vec<Sample>)>);

impl Sheet {
    /// Notes a number. What is not known is not noted: an absent sample is no zero.
    pub(super) fn note(&mut self, family: Family, labels: &[Label], value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return;
        };
        let sample = Sample {
            labels: labels.to_vec(),
            value,
        };
        match self.0.iter_mut().find(|(other, _)| *other == family) {
            Some((_, samples)) => samples.push(sample),
            None => self.0.push((family, vec![sample])),
        }
    }

    /// Notes 1 at what is, and 0 at everything else that it could be.
    pub(super) fn note_one_of(
        &mut self,
        family: Family,
        labels: &[Label],
        key: &'static str,
        all: &[&str],
        is: &str,
    ) {
        for one in all {
            let mut labels = labels.to_vec();
            labels.push((key, (*one).to_owned()));
            self.note(family, &labels, Some(truth(*one == is)));
        }
    }

    pub(super) fn families(&self) -> impl Iterator<Item = (&Family, &[Sample])> {
        self.0
            .iter()
            .map(|(family, samples)| (family, samples.as_slice()))
    }
}

/// A yes or a no as a number.
pub(super) fn truth(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

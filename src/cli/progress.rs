//! The progress bars of long work, on a terminal only.

use std::time::Duration;

use indicatif::style::TemplateError;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use crate::collection::{GraphStatus, Written};
use crate::ingest::Status;

/// A bar with images per second, patches and the time that is left.
pub(crate) struct IndexBar {
    bar: ProgressBar,
}

impl IndexBar {
    /// A bar on standard error; nothing where that is no terminal.
    pub fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images  {per_sec}  {msg}  {eta} left");
        let per_sec = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{:.2} images/s", state.per_sec());
        };
        Self { bar: bar(style.map(|style| style.with_key("per_sec", per_sec))) }
    }

    /// Shows how far the work is.
    pub fn show(&self, status: &Status) {
        if let Some(graphs) = status.graphs {
            return show_graphs(&self.bar, graphs);
        }
        self.bar.set_length(status.images as u64);
        if self.bar.position() == 0 && status.resumed > 0 && status.done == status.resumed {
            // What an earlier run did says nothing about the speed of this one.
            self.bar.set_position(status.done as u64);
            self.bar.reset_eta();
        }
        self.bar.set_position(status.done as u64);
        let mut text = output::counted(status.patches, "patch");
        if status.rejects > 0 {
            text += &format!("  {}", output::counted(status.rejects as u64, "reject"));
        }
        if let Some(stage) = status.stage {
            text += &format!("  {stage}");
        }
        self.bar.set_message(text);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar with the rows that are written and the time that is left.
pub(crate) struct RowBar {
    bar: ProgressBar,
}

impl RowBar {
    /// A bar on standard error; nothing where that is no terminal.
    pub fn new() -> Self {
        let style = "{bar:30} {human_pos}/{human_len} rows written  {eta} left";
        Self { bar: bar(ProgressStyle::with_template(style)) }
    }

    /// Shows how far the work is.
    pub fn show(&self, written: &Written) {
        if let Some(graphs) = written.graphs {
            return show_graphs(&self.bar, graphs);
        }
        self.bar.set_length(written.of);
        self.bar.set_position(written.rows);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for graphs alone, once there is something to show.
#[derive(Default)]
pub(crate) struct GraphBar(Option<ProgressBar>);

impl GraphBar {
    /// Shows how far the graphs are.
    pub fn show(&mut self, graphs: GraphStatus) {
        show_graphs(self.0.get_or_insert_with(|| bar(ProgressStyle::with_template(""))), graphs);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// A bar with the queries that are answered and the time that is left.
pub(crate) struct QueryBar {
    bar: ProgressBar,
}

impl QueryBar {
    /// A bar on standard error; nothing where that is no terminal.
    pub fn new() -> Self {
        Self::of("queries")
    }

    /// The same for work on something else.
    pub fn of(what: &str) -> Self {
        let style = format!("{{bar:30}} {{human_pos}}/{{human_len}} {what}  {{eta}} left");
        Self { bar: bar(ProgressStyle::with_template(&style)) }
    }

    /// Shows how far the work is.
    pub fn show(&self, done: usize, of: usize) {
        self.bar.set_length(of as u64);
        self.bar.set_position(done as u64);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how far graphs are, in vectors.
fn show_graphs(bar: &ProgressBar, graphs: GraphStatus) {
    if graphs.vectors == 0 {
        let style = "{bar:30} building graphs: {human_pos}/{human_len} vectors linked  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.reset();
    }
    bar.set_length(graphs.of);
    bar.set_position(graphs.vectors);
}

fn bar(style: Result<ProgressStyle, TemplateError>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

//! The page: its sections in the order in which a reader asks.
//!
//! | Section | Question |
//! |---|---|
//! | verdict | what now? |
//! | tables | what did others compute beside the runs? |
//! | what was run | can I repeat it? |
//! | validity | can I believe it? |
//! | objectives | where do we stand? |
//! | ratios | is the other arm better? |
//! | percentiles | where does the tail start? |
//! | waterfalls | which pauses, and what caused them? |
//! | over time | drift, warm-up? |
//! | load | how much can it carry? |
//! | failover | how long are sets without a master? |
//! | cost | what does it cost? |
//! | slowest | where is the time lost? |
//! | correctness | was it right? |
//! | raw figures | give me the data |

mod beliefs;
mod cost;
mod facts;
mod failover;
mod forest;
mod load;
mod objectives;
mod over_time;
mod percentiles;
mod raw;
mod slices;
mod slowest;
mod tables;
mod verdict;
mod waterfall;

pub(crate) use facts::{kind, shell};
pub(crate) use forest::{change_sign, shown_interval};
pub(crate) use objectives::verdict_word;
pub(crate) use percentiles::{between, quantile_name};

use crate::arms::{Arm, Model};
use crate::draw::page::{PAGE_BYTES_MAX, page, section};
use crate::summary::{Summary, WorkloadFigures};
use crate::{Options, ReportError, arms, summary};
use maud::{Markup, html};
use measure::folder::Found;
use serde_json::Value;

/// How finely a page is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detail {
    /// Columns of all pictures over time together.
    columns: usize,
    /// Operations of a workload that are drawn over time: the busiest. None: nothing is drawn over time.
    pub(crate) ops: usize,
    /// Slowest requests of an arm.
    pub(crate) slowest: usize,
    /// Points of a percentile line for each decade.
    pub(crate) points: u32,
    /// Steps of a line of failover times.
    pub(crate) steps: usize,
    /// Whether ratios that stand in the table of old and new are drawn too.
    pub(crate) forest: bool,
}

/// From fine to coarse: the first whose page is not too large is taken.
const DETAILS: [Detail; 4] = [
    Detail { columns: 4_000, ops: 4, slowest: 50, points: 14, steps: 300, forest: true },
    Detail { columns: 1_500, ops: 2, slowest: 20, points: 10, steps: 100, forest: true },
    Detail { columns: 500, ops: 1, slowest: 10, points: 7, steps: 50, forest: false },
    Detail { columns: 0, ops: 0, slowest: 0, points: 7, steps: 50, forest: false },
];

/// Columns of one picture, at least and at most.
const COLUMNS_MIN: usize = 20;
const COLUMNS_MAX: usize = 120;

/// What sections draw from.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) model: &'a Model<'a>,
    pub(crate) summary: &'a Summary,
    pub(crate) options: &'a Options<'a>,
    pub(crate) detail: Detail,
    /// Columns of one picture over time.
    pub(crate) columns: usize,
}

impl<'a> Context<'a> {
    /// Workloads with their figures.
    pub(crate) fn workloads(
        &self,
    ) -> impl Iterator<Item = (&'a arms::Workload<'a>, &'a WorkloadFigures)> {
        self.model.workloads.iter().zip(&self.summary.workloads)
    }

    /// The name of a workload above its part of a section, if there are several.
    pub(crate) fn heading(&self, workload: &str) -> Markup {
        html! { @if self.model.workloads.len() > 1 { h3 { (workload) } } }
    }
}

/// One offline page about the runs.
///
/// # Errors
/// - [`ReportError`].
///
/// # Panics
/// Never: all figures have a form in JSON.
pub fn html(runs: &[Found], options: &Options<'_>) -> Result<String, ReportError> {
    let model = arms::model(runs, options)?;
    let summary = summary::summary(&model);
    let data = data(&summary);
    let mut bytes = 0;
    for detail in DETAILS {
        let columns = (detail.columns / pictures(&model, detail)).clamp(COLUMNS_MIN, COLUMNS_MAX);
        let context = Context { model: &model, summary: &summary, options, detail, columns };
        let page = page(&title(&context), &subtitle(&context), &body(&context), Some(&data));
        if page.len() <= PAGE_BYTES_MAX {
            return Ok(page);
        }
        bytes = page.len();
    }
    Err(ReportError::TooLarge { bytes })
}

/// The figures as embedded JSON: without the single samples, which can outweigh the rest; `json` has them.
fn data(summary: &Summary) -> String {
    let mut data = serde_json::to_value(summary).expect("figures have a form in JSON");
    let mut open = vec![&mut data];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                members.remove("samples_us");
                open.extend(members.values_mut());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    data.to_string()
}

/// Pictures over time that the page will have.
fn pictures(model: &Model<'_>, detail: Detail) -> usize {
    let of_workload = |workload: &arms::Workload<'_>| -> usize {
        let ops = workload.entries.iter().map(|entry| entry.step().ops.len()).max().unwrap_or(0);
        // A waterfall and a time line for each arm, a difference for each but the first.
        ops.min(detail.ops) * (3 * workload.entries.len()).saturating_sub(1)
    };
    model.workloads.iter().map(of_workload).sum::<usize>().max(1)
}

pub(crate) fn title(context: &Context<'_>) -> String {
    if let Some(title) = context.options.title {
        return title.to_owned();
    }
    match context.model.workloads.as_slice() {
        [one] => one.name.to_owned(),
        many => format!("{} workloads", many.len()),
    }
}

fn subtitle(context: &Context<'_>) -> String {
    match context.model.workloads.as_slice() {
        [one] => one.description.to_owned(),
        many => many.iter().map(|workload| workload.name).collect::<Vec<_>>().join(" · "),
    }
}

fn body(context: &Context<'_>) -> Markup {
    let sections = [
        ("run", "What was run", "Can I repeat it?", facts::draw(context)),
        ("validity", "Validity", "Can I believe it?", beliefs::validity(context)),
        ("objectives", "Objectives", "Where do we stand?", objectives::draw(context)),
        ("ratios", "Arms compared", "Which arm is better, and by how much?", forest::draw(context)),
        ("percentiles", "Percentiles", "Where does the tail start?", percentiles::draw(context)),
        (
            "waterfalls",
            "Waterfalls",
            "Which pauses, and what caused them?",
            waterfall::draw(context),
        ),
        ("time", "Over time", "Is there drift, or a warm-up?", over_time::draw(context)),
        ("load", "Latency against load", "How much can it carry?", load::draw(context)),
        ("failover", "Failover", "How long until each milestone?", failover::draw(context)),
        ("cost", "Cost", "What does an operation cost?", cost::draw(context)),
        ("slowest", "Slowest requests", "Where is the time lost?", slowest::draw(context)),
        ("correctness", "Correctness", "Was it right?", beliefs::correctness(context)),
        ("raw", "Raw figures", "Give me the data.", raw::draw(context)),
    ];
    let shown: Vec<_> = sections
        .into_iter()
        .filter_map(|(id, title, ask, body)| Some((id, title, ask, body?)))
        .collect();
    let tables = context.options.tables;
    html! {
        (verdict::banners(context))
        (verdict::tiles(context))
        (arms_key(context.model))
        nav {
            @for (number, table) in tables.iter().enumerate() { a href={ "#table-" (number) } { (table.title) } }
            @for (id, title, ..) in &shown { a href={ "#" (id) } { (title) } }
        }
        @for (number, table) in tables.iter().enumerate() {
            (section(&format!("table-{number}"), &table.title, &table.question, &tables::draw(table)))
        }
        @if context.detail.ops < DETAILS[0].ops {
            p.note {
                "So many runs share this page that of each workload "
                @if context.detail.ops == 0 { "nothing is drawn over time" } @else { "only the busiest operations are drawn over time, coarsely" }
                ": report fewer runs at once to see more."
            }
        }
        @for (id, title, ask, body) in &shown { (section(id, title, ask, body)) }
        footer {
            "Histograms are merged; percentiles are never averaged. A quantile with fewer than ten samples beyond \
             it is dashed or in brackets. Intervals are 95 %; those of quantiles are by order statistics and \
             hold for independent samples. All times in UTC."
        }
    }
}

/// All arms with their letters.
fn arms_key(model: &Model<'_>) -> Markup {
    html! {
        ul.arms {
            @for (number, arm) in model.arms.iter().enumerate() {
                li {
                    (chip(number)) b { (arm.name) }
                    span.tag { (arms::durability(arm.durability)) }
                    @if let Some(version) = &arm.version { span.tag { (version) } }
                    @if number == 0 && model.arms.len() > 1 { span.tag { "baseline" } }
                }
            }
        }
    }
}

/// The letter of an arm, in its colour.
pub(crate) fn chip(number: usize) -> Markup {
    html! { span class={ "chip c" (number) } { (Arm::letter(number)) } }
}

/// Letter, name and durability of an arm above a picture.
pub(crate) fn arm_caption(context: &Context<'_>, number: usize) -> Markup {
    let arm = &context.model.arms[number];
    html! { (chip(number)) (arm.name) span.tag { (arms::durability(arm.durability)) } }
}

//! What `load` without a sub-command does.

use std::{fs, path::Path};

use tokio::time::sleep;

use super::{
    error::LoadError,
    idle,
    options::{Rate, RunOptions, ShapeOptions},
    plot,
    processes::Processes,
    progress::Progress,
    report::Report,
    target::Target,
    traffic::{Mode, Plan, drive},
    users,
};

/// Measures, and says what it found. False if something went wrong with texts.
pub(super) async fn carry_out(options: &RunOptions) -> Result<bool, LoadError> {
    let shape = &options.shape;
    let target = Target::find(&options.target)?;
    let pids = if options.pids.is_empty() { &target.pids } else { &options.pids };
    let processes = Processes::new(pids.clone())?;
    let progress = Progress::new();
    let tickets = users::enter(&target, &users::names_of_pairs(shape.pairs, shape.seed), &progress).await?;
    let pairs = users::place(tickets, &target, options.placement)?;

    let mut report = Report::new(options);
    let mut held = Vec::new();
    if options.idle > 0 {
        let (memory, sessions) = idle::hold(options.idle, shape.seed, &target, &processes, &progress).await?;
        report.idle = Some(memory);
        held = sessions;
    }
    if pairs.is_empty() {
        sleep(shape.duration).await;
    } else {
        let closed = Mode::Closed { window: shape.window };
        let first = match options.rate {
            Some(Rate::Texts(rate)) => Mode::Open { rate },
            Some(Rate::Part(_)) | None => closed,
        };
        report.stretches.push(drive(&pairs, &plan(shape, first), &processes, &progress).await?);
        if let Some(Rate::Part(part)) = options.rate {
            let reached = report.stretches.iter().map(|outcome| outcome.acknowledged_per_s).sum::<f64>();
            if reached == 0.0 {
                return Err(LoadError::failed(
                    "the closed loop had no acknowledgement, so there is no part of its rate",
                ));
            }
            let open = plan(shape, Mode::Open { rate: reached * part });
            report.stretches.push(drive(&pairs, &open, &processes, &progress).await?);
        }
    }
    drop(held);
    progress.end();
    println!("{report}");
    if let Some(path) = &options.json {
        write("--json", path, &report.to_json()?)?;
    }
    if let Some(path) = &options.plot {
        write("--plot", path, &plot::page(&report))?;
    }
    Ok(report.is_sound())
}

/// A stretch of this shape.
pub(super) fn plan(shape: &ShapeOptions, mode: Mode) -> Plan {
    let ShapeOptions { size, seed, warm_up, duration, settle, .. } = *shape;
    Plan { mode, size, seed, warm_up, duration, settle }
}

/// Writes a file that an option names.
pub(super) fn write(key: &str, path: &Path, content: &str) -> Result<(), LoadError> {
    let remedy = "name a file in a directory that may be written";
    fs::write(path, content).map_err(|error| LoadError::option(key, format!("{}: {error}", path.display()), remedy))
}

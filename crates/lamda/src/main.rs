//! The program: reads arguments, calls the floors below, prints, and decides the exit code.
//!
//! Data goes to stdout, everything else to stderr. What a verb does is in its file under `command`; how failures become exit
//! codes is in `exit`.

#![expect(unreachable_pub, reason = "a binary has no outside: `pub` says what a module offers to the others")]

mod args;
mod command;
mod exit;
mod files;
mod output;
mod paths;
mod progress;
mod watch;

use args::{Args, Verb};
use clap::Parser;
use exit::ExitCode;
use output::Output;

fn main() -> std::process::ExitCode {
    exit::guarded(run)
}

fn run() -> std::process::ExitCode {
    exit::on_interrupt();
    let args = Args::parse();
    let out = Output { json: args.json, quiet: args.quiet };
    let result = match &args.verb {
        Verb::Check(verb) => command::check::run(&out, verb),
        Verb::Fmt(verb) => command::fmt::run(&out, verb),
        Verb::Fold(verb) => command::fold::run(&out, verb),
        Verb::Show(verb) => command::show::run(&out, verb),
        Verb::Edit(verb) => command::edit::run(&out, verb),
        Verb::Diff(verb) => command::edit::diff(&out, verb),
        Verb::Convert(verb) => command::convert::run(&out, verb),
        Verb::Grammar(verb) => command::grammar::run(&out, verb),
        Verb::Measure(verb) => command::measure::run(&out, verb),
        Verb::Predict(verb) => command::predict::run(&out, verb),
        Verb::Device(verb) => command::device::run(&out, verb),
        Verb::Task(verb) => command::task::run(&out, verb),
        Verb::Train(verb) => command::train::run(&out, verb),
        Verb::Design(verb) => command::design::run(&out, verb),
        Verb::Study(verb) => command::study::run(&out, verb),
        Verb::Report(verb) => command::report::run(&out, verb),
        Verb::Doctor => command::doctor::run(&out),
    };
    match result {
        Ok(code) => code.into(),
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::Done.into(),
        Err(error) => {
            output::failure(&error);
            exit::code_of(&error).into()
        }
    }
}

//! The command line: global options and one variant per command.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use vocabulary::text::wrapped;

use crate::args::Global;
use crate::commands;
use crate::exit::{EXIT_CODES, Exit};
use crate::logging::say;

/// Runs scaling-law experiments: plans them as a tree of training stages, trains each stage once and fits the law
#[derive(Debug, Parser)]
#[command(
    name = "windtunnel",
    version,
    max_term_width = 80,
    propagate_version = true,
    after_help = format!("Example:\n  windtunnel run recipes/quickstart.toml\n\n{EXIT_CODES}")
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands by what they are for, as help lists them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Run", &["run", "extend", "branch", "evaluate", "submit", "train", "plan", "recipe", "data"]),
    ("Look", &["list", "show", "watch", "workers", "curves", "report", "show-model"]),
    ("Fit", &["fit", "predict", "optimal", "forecast"]),
    (
        "Operate",
        &[
            "serve",
            "worker",
            "pool",
            "token",
            "cancel",
            "retry",
            "forget",
            "checkpoints",
            "doctor",
            "store",
            "verify",
            "coord-check",
            "bench",
            "completions",
        ],
    ),
    ("Exchange", &["export", "import", "logits"]),
];

impl Cli {
    /// Parses the arguments of the process. Ends it on a usage error, and for help. Without a command, the help is the error.
    pub(crate) fn of_process() -> Self {
        let args: Vec<OsString> = std::env::args_os().collect();
        let error = match grouped().try_get_matches_from(&args).and_then(|matches| Self::from_arg_matches(&matches)) {
            Ok(cli) => return cli,
            Err(error) => error,
        };
        if error.kind() == ErrorKind::MissingSubcommand
            && let Err(help) = grouped().try_get_matches_from(args.into_iter().chain([OsString::from("--help")]))
        {
            say(help.render().to_string().trim_end());
            std::process::exit(2);
        }
        error.exit()
    }
}

/// A variable that is set and empty, as a script's `WINDTUNNEL_COORDINATOR=` leaves it, counts as not set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let heed = |argument: clap::Arg| {
        let value = argument.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| value.is_empty()) { argument.env(None::<&'static str>) } else { argument }
    };
    command.mut_args(heed).mut_subcommands(without_empty_variables)
}

/// The definition with its commands in groups.
fn grouped() -> clap::Command {
    let program = without_empty_variables(Cli::command());
    let header = *program.get_styles().get_header();
    let literal = *program.get_styles().get_literal();
    let width = program.get_subcommands().map(|command| command.get_name().len()).max().unwrap_or_default();
    let mut groups = String::new();
    for (group, names) in GROUPS {
        groups.push_str(&format!("{header}{group}:{header:#}\n"));
        for command in names.iter().filter_map(|name| program.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            // Wrapping takes spaces at the beginning away: dots stand for them.
            let line = wrapped(&format!("..{name:<width$}  {about}"), width + 4).replacen("..", "  ", 1);
            groups.push_str(&line.replacen(name, &format!("{literal}{name}{literal:#}"), 1));
        }
        groups.push('\n');
    }
    let template = format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{header}Options:{header:#}\n{{options}}{{after-help}}"
    );
    program.help_template(template)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(commands::run::Args),
    Extend(commands::extend::Args),
    Branch(commands::branch::Args),
    Evaluate(commands::evaluate::Args),
    Plan(commands::plan::Args),
    Train(commands::train::Args),
    CoordCheck(commands::coord_check::Args),
    Data(commands::data::Args),
    Serve(commands::serve::Args),
    Worker(commands::worker::Args),
    Pool(commands::pool::Args),
    Workers(commands::workers::Args),
    Token(commands::token::Args),
    Submit(commands::submit::Args),
    List(commands::list::Args),
    Show(commands::show::Args),
    ShowModel(commands::show_model::Args),
    Watch(commands::watch::Args),
    Curves(commands::curves::Args),
    Fit(commands::fit::Args),
    Predict(commands::predict::Args),
    Optimal(commands::optimal::Args),
    Forecast(commands::forecast::Args),
    Report(commands::report::Args),
    Cancel(commands::cancel::Args),
    Forget(commands::forget::Args),
    Checkpoints(commands::checkpoints::Args),
    Doctor(commands::doctor::Args),
    Store(commands::store::Args),
    Verify(commands::verify::Args),
    Retry(commands::retry::Args),
    Export(commands::export::Args),
    Import(commands::import::Args),
    Logits(commands::logits::Args),
    Bench(commands::bench::Args),
    Recipe(commands::recipe::Args),
    Completions(commands::completions::Args),
}

impl Command {
    /// The default log filter.
    pub(crate) fn default_log(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Worker(_) => "info",
            _ => "warn",
        }
    }

    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Run(args) => args.run(global),
            Self::Extend(args) => args.run(global),
            Self::Branch(args) => args.run(global),
            Self::Evaluate(args) => args.run(global),
            Self::Plan(args) => args.run(global),
            Self::Train(args) => args.run(global),
            Self::CoordCheck(args) => args.run(global),
            Self::Data(args) => args.run(global),
            Self::Serve(args) => args.run(global),
            Self::Worker(args) => args.run(global),
            Self::Pool(args) => args.run(global),
            Self::Workers(args) => args.run(global),
            Self::Token(args) => args.run(global),
            Self::Submit(args) => args.run(global),
            Self::List(args) => args.run(global),
            Self::Show(args) => args.run(global),
            Self::ShowModel(args) => args.run(global),
            Self::Watch(args) => args.run(global),
            Self::Curves(args) => args.run(global),
            Self::Fit(args) => args.run(global),
            Self::Predict(args) => args.run(global),
            Self::Optimal(args) => args.run(global),
            Self::Forecast(args) => args.run(global),
            Self::Report(args) => args.run(global),
            Self::Cancel(args) => args.run(global),
            Self::Forget(args) => args.run(global),
            Self::Checkpoints(args) => args.run(global),
            Self::Doctor(args) => args.run(global),
            Self::Store(args) => args.run(global),
            Self::Verify(args) => args.run(global),
            Self::Retry(args) => args.run(global),
            Self::Export(args) => args.run(global),
            Self::Import(args) => args.run(global),
            Self::Logits(args) => args.run(global),
            Self::Bench(args) => args.run(global),
            Self::Recipe(args) => args.run(global),
            Self::Completions(args) => args.run(Cli::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let program = Cli::command();
        let mut commands: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        commands.sort_unstable();
        assert_eq!(grouped, commands);
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            let has_example = |text: Option<&clap::builder::StyledStr>| {
                text.is_some_and(|text| text.to_string().contains("Example:\n  windtunnel "))
            };
            assert!(has_example(command.get_after_help()), "`{name} --help` has no example");
            assert!(command.get_about().is_some(), "`{name}` does not say what it does");
            command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(check);
        }
        check(&Cli::command());
    }
}

//! `windtunnel show-model`

use std::path::Path;

use anyhow::anyhow;
use recipes::recipe::inline;
use recipes::{Parametrization, Recipe};
use serde::Serialize;
use vocabulary::units::human_bytes;
use vocabulary::{AdamW, Flops, ModelSpec, ParamGroup, Shape, TensorProgram, ladder};

use crate::args::Global;
use crate::args::numbers::{above_zero, within};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::views::output::{self, View, columns};

/// The vocabulary of the paper's models: 122,753 entries.
const PAPER_VOCAB: u32 = 122_753;

/// Tokens in a sequence of the paper's models.
const PAPER_CONTEXT: u32 = 4096;

/// Bytes a number of the weights takes, and of the two moments of AdamW.
const WEIGHT_BYTES: u64 = 4;
const OPTIMIZER_BYTES: u64 = 8;

/// Print a model's parameters: names, shapes, counts, initialisation and training
///
/// Options not given default to the recipe, or to the paper if SHAPE is not a recipe.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel show-model 0.5B
  windtunnel show-model recipes/quickstart.toml --size tiny-64
  windtunnel show-model 0.5B --standard
  windtunnel show-model d_model=64,n_heads=4,n_layers=2 --vocab 512 --untied")]
pub(crate) struct Args {
    /// Name from the ladder, a recipe file, or dimensions such as `d_model=64,d_ff=160,n_heads=4,n_layers=2`
    ///
    /// Dimensions use the keys of `[[model.shapes]]` in recipes. Defaults: `d_ff` 2.5 d_model, `head_dim` d_model / n_heads,
    /// `n_kv_heads` n_heads.
    shape: String,

    /// Size of the recipe [default: its only one]
    #[arg(long, value_name = "NAME")]
    size: Option<String>,

    /// Vocabulary size [default: the recipe's, or 122753]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    vocab: Option<u32>,

    /// Context length, which decides the cost of attention [default: the recipe's, or 4096]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=131_072))]
    context: Option<u32>,

    /// Tie the output head to the embedding
    #[arg(long, conflicts_with = "untied", help_heading = "Model")]
    tied: bool,

    /// Give the output head its own table
    #[arg(long, help_heading = "Model")]
    untied: bool,

    /// None of the scalings below: the ordinary parametrization
    #[arg(long, conflicts_with_all = ["scale_emb", "scale_depth", "d_base"], help_heading = "Model")]
    standard: bool,

    /// The embedding's output is multiplied by this [default: the recipe's, or 12]
    #[arg(long, value_name = "X", value_parser = above_zero, help_heading = "Model")]
    scale_emb: Option<f64>,

    /// Each block's two outputs are multiplied by this over the root of the number of blocks [default: the recipe's, or 1.4]
    #[arg(long, value_name = "X", value_parser = above_zero, help_heading = "Model")]
    scale_depth: Option<f64>,

    /// Standard deviation of the embedding's initial values [default: the recipe's, or 0.1, or 0.02 without scalings]
    #[arg(long, value_name = "X", value_parser = above_zero, help_heading = "Model")]
    init_std: Option<f64>,

    /// The width at which the scalings do nothing [default: the recipe's, or 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536), help_heading = "Model")]
    d_base: Option<u32>,

    /// Weight decay of what is decayed [default: the recipe's, or 0.1]
    #[arg(long, value_name = "X", value_parser = zero_or_more, help_heading = "Model")]
    weight_decay: Option<f64>,
}

fn zero_or_more(text: &str) -> Result<f64, String> {
    within(text, 0.0..f64::INFINITY, "0 or more")
}

/// What the options start from.
struct Base {
    name: String,
    model: ModelSpec,
    parametrization: Parametrization,
    optimizer: AdamW,
    context: u32,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    parametrization: Parametrization,
    model: ModelSpec,
    groups: Vec<Row>,
    /// Every parameter.
    params: u64,
    /// N: those that are in neither the embedding nor a head of its own.
    non_embedding_params: u64,
    context: u32,
    training_flops_per_token: Flops,
    weight_bytes: u64,
    /// The two moments of AdamW.
    optimizer_bytes: u64,
}

#[derive(Serialize)]
struct Row {
    group: ParamGroup,
    /// Numbers in all of its copies.
    params: u64,
    weight_decay: f64,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let base = self.base()?;
        self.refuse_scalings(&base)?;
        let shown = self.apply(base);
        output::print(&shown, global.json)?;
        Ok(Exit::Done)
    }

    fn base(&self) -> anyhow::Result<Base> {
        let paper = |shape: Shape| Base {
            name: self.shape.clone(),
            model: ModelSpec::paper(shape, self.vocab.unwrap_or(PAPER_VOCAB)),
            parametrization: Parametrization::TensorProgram,
            optimizer: AdamW::PAPER,
            context: PAPER_CONTEXT,
        };
        let named = ladder::all().find(|(name, _)| name.eq_ignore_ascii_case(&self.shape));
        let file = Path::new(&self.shape);
        if let Some((name, shape)) = named {
            self.refuse_size()?;
            Ok(Base { name: name.to_owned(), ..paper(shape) })
        } else if self.shape.contains('=') && !file.exists() {
            self.refuse_size()?;
            Ok(paper(inline::shape(&self.shape).or_bad_input()?))
        } else if file.exists() || file.extension().is_some() && !self.shape.contains(char::is_whitespace) {
            self.of_recipe(&Recipe::load(file).or_bad_input()?)
        } else {
            let known: Vec<_> = ladder::all().map(|(name, _)| name).collect();
            Err(bad_input(anyhow!(
                "`{}` is not a model: expected one of {}, the file of a recipe, or dimensions such as \
                 `d_model=64,n_heads=4,n_layers=2`",
                self.shape,
                known.join(", ")
            )))
        }
    }

    fn of_recipe(&self, recipe: &Recipe) -> anyhow::Result<Base> {
        let sizes = recipe.sizes();
        let names = || sizes.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let (name, shape) = match (&self.size, sizes.as_slice()) {
            (None, [only]) => *only,
            (None, _) => {
                return Err(bad_input(anyhow!(
                    "{} has several sizes: choose with --size one of {}",
                    recipe.file(),
                    names()
                )));
            }
            (Some(size), _) => *sizes.iter().find(|(name, _)| name.eq_ignore_ascii_case(size)).ok_or_else(|| {
                bad_input(anyhow!("{} has no size `{size}`: choose one of {}", recipe.file(), names()))
            })?,
        };
        let Some(vocab) = self.vocab.or(recipe.data().vocab) else {
            let reason = "brings its own tokenizer, whose vocabulary is not known here: give --vocab";
            return Err(bad_input(anyhow!("{} {reason}", recipe.file())));
        };
        Ok(Base {
            name: format!("{name} of {}", recipe.name()),
            model: recipe.model(shape, vocab),
            parametrization: recipe.contents().model.parametrization,
            optimizer: recipe.optimizer(),
            context: recipe.contents().batch.context,
        })
    }

    /// Sizes belong to recipes.
    fn refuse_size(&self) -> anyhow::Result<()> {
        match &self.size {
            Some(_) => {
                Err(bad_input(anyhow!("--size selects a size of a recipe, but `{}` is not a recipe", self.shape)))
            }
            None => Ok(()),
        }
    }

    /// Scalings belong to a model that has some.
    fn refuse_scalings(&self, base: &Base) -> anyhow::Result<()> {
        let given = [
            ("--scale-emb", self.scale_emb.is_some()),
            ("--scale-depth", self.scale_depth.is_some()),
            ("--d-base", self.d_base.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given && base.parametrization == Parametrization::Standard) {
            Some((option, _)) => {
                Err(bad_input(anyhow!("{option} is a scaling, and {} has the parametrization \"standard\"", base.name)))
            }
            None => Ok(()),
        }
    }

    fn apply(&self, base: Base) -> Shown {
        let Base { name, mut model, mut parametrization, optimizer, context } = base;
        if self.standard && parametrization == Parametrization::TensorProgram {
            parametrization = Parametrization::Standard;
            model.tensor_program = TensorProgram::standard(&model.shape, TensorProgram::STANDARD_INIT_STD);
        }
        let program = &mut model.tensor_program;
        for (value, given) in [
            (&mut program.scale_emb, self.scale_emb),
            (&mut program.scale_depth, self.scale_depth),
            (&mut program.init_std, self.init_std),
        ] {
            *value = given.unwrap_or(*value);
        }
        program.d_base = self.d_base.unwrap_or(program.d_base);
        model.tied = (model.tied || self.tied) && !self.untied;
        let (context, weight_decay) =
            (self.context.unwrap_or(context), self.weight_decay.unwrap_or(optimizer.weight_decay));
        let row = |group: ParamGroup| Row {
            params: group.params(),
            weight_decay: if group.decayed { weight_decay } else { 0.0 },
            group,
        };
        let params = model.shape.total_params(model.vocab, model.tied);
        Shown {
            name,
            groups: model.param_groups().into_iter().map(row).collect(),
            params,
            non_embedding_params: model.shape.non_embedding_params(),
            context,
            training_flops_per_token: model.shape.training_flops_per_token(model.vocab, context),
            weight_bytes: WEIGHT_BYTES * params,
            optimizer_bytes: OPTIMIZER_BYTES * params,
            parametrization,
            model,
        }
    }
}

impl View for Shown {
    fn table(&self) -> String {
        let ModelSpec { shape, vocab, tied, tensor_program, .. } = &self.model;
        let mut text = format!(
            "{}: {} of width {}, feed-forward {}, {} heads of {} for queries and {} for keys, vocabulary {vocab}, {}\n\n",
            self.name,
            if shape.n_layers == 1 { "1 block".to_owned() } else { format!("{} blocks", shape.n_layers) },
            shape.d_model,
            shape.d_ff,
            shape.n_heads,
            shape.head_dim,
            shape.n_kv_heads,
            if *tied { "tied head" } else { "head of its own" },
        );
        let header = ["parameter", " shape", " copies", " parameters", " initial std", " LR x", " decay"];
        let rows: Vec<_> = self.groups.iter().map(Row::cells).collect();
        text.push_str(&columns(header, &rows));
        let attention = format!("context {}", self.context);
        let rows = [
            ["parameters", &self.params.to_string(), "all of the above"],
            ["N", &self.non_embedding_params.to_string(), "without embedding and head, gains counted"],
            [
                "FLOPs a token",
                &self.training_flops_per_token.to_string(),
                &format!("forward and backward, {attention}"),
            ],
            ["weights", &human_bytes(self.weight_bytes), "32-bit"],
            ["optimizer", &human_bytes(self.optimizer_bytes), "two 32-bit moments a parameter"],
        ]
        .map(|row| row.map(str::to_owned));
        text.push('\n');
        text.push_str(columns(["", " ", ""], &rows).trim_start_matches('\n'));
        if self.parametrization == Parametrization::Standard {
            text.push_str("\nparametrization standard: no scalings by width or depth\n");
            return text;
        }
        text.push_str(&format!(
            "\nparametrization tensor_program: embedding times {}, block outputs times {:.4}, logits divided by {:.4} = \
             {} / {}\n",
            tensor_program.scale_emb,
            self.model.residual_scale(),
            self.model.width_ratio(),
            shape.d_model,
            tensor_program.d_base,
        ));
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 7] {
        let group = &self.group;
        let shape: Vec<_> = group.shape.iter().map(u32::to_string).collect();
        [
            group.folded_path(),
            shape.join(" x "),
            group.copies.to_string(),
            self.params.to_string(),
            group.init_std.map_or("all 1".to_owned(), |std| format!("{std:.4}")),
            format!("{:.4}", group.lr_multiplier),
            if group.decayed { self.weight_decay.to_string() } else { "none".to_owned() },
        ]
    }
}

//! Causal attention with rotary position embedding, in blocks of queries.
//!
//! No `[context, context]` matrix is kept: the forward pass saves the logarithm of each query's sum of exponentials, and
//! the backward pass computes the probabilities again from it (as in FlashAttention, arXiv 2205.14135). Queries, keys
//! and values are read where the linear layer left them, side by side in rows; only rotated queries and keys are copied.
//!
//! A task is one sequence and one key head with the query heads that share it, so that the gradient of a key is summed
//! within one task.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::buffer::{contiguous, dims, elements, tensor, unwritten};
use super::matmul::{Matrix, MatrixMut, Output, Threads, multiply, transpose};
use crate::ops::AttentionLayout;
use crate::rope::RopeTable;
use crate::simd::{LANES, Simd, for_chunks, kernel};

/// Queries whose scores are held at once.
const QUERIES_PER_BLOCK: usize = 64;

/// What the shapes of the tensors do not say.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) layout: AttentionLayout,
    pub(super) context: usize,
    pub(super) rope: RopeTable,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) qkv: FlexTensor,
    pub(super) output: FlexTensor,
    /// `[batch, n_heads, context]`.
    pub(super) log_sums: Arc<[f32]>,
    pub(super) geometry: Geometry,
}

/// One sequence and one key head: which part of the rows of `qkv` and of the output it works on.
#[derive(Clone, Copy)]
struct Task<'a> {
    geometry: &'a Geometry,
    sequence: usize,
    key_head: usize,
}

impl Task<'_> {
    /// Index of the sequence's first row.
    fn first_row(&self) -> usize {
        self.sequence * self.geometry.context
    }

    /// Columns of the `member`-th query head that shares the key head, in `qkv` and in the output alike.
    fn query(&self, member: usize) -> Range<usize> {
        let AttentionLayout { head_dim, .. } = self.geometry.layout;
        let head = self.key_head * self.geometry.layout.group_size() + member;
        head * head_dim..(head + 1) * head_dim
    }

    /// Columns of the key head in `qkv`.
    fn key(&self) -> Range<usize> {
        let AttentionLayout { head_dim, .. } = self.geometry.layout;
        let from = self.geometry.layout.query_width() + self.key_head * head_dim;
        from..from + head_dim
    }

    /// Columns of the value head in `qkv`.
    fn value(&self) -> Range<usize> {
        let (key, offset) = (self.key(), self.geometry.layout.key_width());
        key.start + offset..key.end + offset
    }
}

/// Blocks of queries, each with the keys up to its last query: `(first query, one past the last)`.
fn blocks(context: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..context.div_ceil(QUERIES_PER_BLOCK))
        .map(move |block| (block * QUERIES_PER_BLOCK, context.min((block + 1) * QUERIES_PER_BLOCK)))
}

/// A row-major matrix that tasks write to at once, each in columns and rows of its own.
struct Shared<'a> {
    elements: *mut f32,
    len: usize,
    width: usize,
    borrow: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: it hands out parts of a slice it holds exclusively; that no two overlap is the promise made to `Shared::row`.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    fn new(elements: &'a mut [f32], width: usize) -> Self {
        Self { elements: elements.as_mut_ptr(), len: elements.len(), width, borrow: std::marker::PhantomData }
    }

    /// Some columns of a row.
    ///
    /// # Safety
    /// No other part that is alive may overlap these columns of this row.
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    unsafe fn row(&self, row: usize, columns: Range<usize>) -> &mut [f32] {
        let from = row * self.width + columns.start;
        assert!(columns.end <= self.width && from + columns.len() <= self.len, "inside the matrix");
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.elements.add(from), columns.len()) }
    }
}

/// The output `[tokens, n_heads * head_dim]`, and the log-sum of each query.
pub(super) fn forward(qkv: &FlexTensor, geometry: &Geometry) -> (FlexTensor, Arc<[f32]>) {
    let ([tokens, width], Geometry { layout, context, .. }) = (dims(qkv), geometry);
    let (context, out_width) = (*context, layout.query_width());
    let mut output = unwritten(tokens * out_width);
    let mut log_sums = unwritten(tokens * layout.n_heads);
    let shared = Shared::new(&mut output, out_width);
    log_sums.par_chunks_mut(layout.group_size() * context).enumerate().for_each_init(
        || ForwardScratch::new(context, layout.head_dim),
        |scratch, (index, log_sums)| {
            let task = Task { geometry, sequence: index / layout.n_kv_heads, key_head: index % layout.n_kv_heads };
            scratch.run(task, elements(qkv), width, &shared, log_sums);
        },
    );
    (tensor([tokens, out_width], output), log_sums.into())
}

/// Elements of a row of so many scores: whole vectors, so that kernels need not treat the last few one by one.
fn row_of(keys: usize) -> usize {
    keys.next_multiple_of(LANES)
}

struct ForwardScratch {
    query: Vec<f32>,          // [context, head_dim], rotated and scaled
    key: Vec<f32>,            // [context, head_dim], rotated
    key_transposed: Vec<f32>, // [head_dim, row_of(context)]
    value: Vec<f32>,          // [context, head_dim]
    scores: Vec<f32>,         // [QUERIES_PER_BLOCK, row_of(context)]
    mixed: Vec<f32>,          // [QUERIES_PER_BLOCK, head_dim]
}

impl ForwardScratch {
    fn new(context: usize, head_dim: usize) -> Self {
        let block = QUERIES_PER_BLOCK.min(context);
        Self {
            query: vec![0.0; context * head_dim],
            key: vec![0.0; context * head_dim],
            key_transposed: vec![0.0; head_dim * row_of(context)],
            value: vec![0.0; context * head_dim],
            scores: vec![0.0; block * row_of(context)],
            mixed: vec![0.0; block * head_dim],
        }
    }

    fn run(&mut self, task: Task<'_>, qkv: &[f32], width: usize, output: &Shared<'_>, log_sums: &mut [f32]) {
        let Geometry { layout, context, rope } = task.geometry;
        let (context, head_dim) = (*context, layout.head_dim);
        let rows = &qkv[task.first_row() * width..(task.first_row() + context) * width];
        rotate(&rows[task.key().start..], width, rope, 1.0, &mut self.key);
        transpose([context, head_dim], &self.key, head_dim, &mut self.key_transposed, row_of(context));
        gather(&rows[task.value().start..], width, &mut self.value, head_dim);
        for (member, log_sums) in log_sums.chunks_exact_mut(context).enumerate() {
            rotate(&rows[task.query(member).start..], width, rope, layout.score_scale(), &mut self.query);
            for (from, to) in blocks(context) {
                let (count, row) = (to - from, row_of(to));
                let scores = &mut self.scores[..count * row];
                multiply(
                    [count, to, head_dim],
                    MatrixMut::rows(scores, row),
                    Output::Overwrite,
                    Matrix::rows(&self.query[from * head_dim..], head_dim),
                    Matrix::rows(&self.key_transposed, row_of(context)),
                    1.0,
                    Threads::One,
                );
                softmax(scores, row, from, &mut log_sums[from..to]);
                let mixed = &mut self.mixed[..count * head_dim];
                multiply(
                    [count, head_dim, to],
                    MatrixMut::rows(mixed, head_dim),
                    Output::Overwrite,
                    Matrix::rows(scores, row),
                    Matrix::rows(&self.value, head_dim),
                    1.0,
                    Threads::One,
                );
                for (query, mixed) in (from..to).zip(mixed.chunks_exact(head_dim)) {
                    // SAFETY: the rows of a sequence and the columns of a query head belong to one task.
                    unsafe { output.row(task.first_row() + query, task.query(member)) }.copy_from_slice(mixed);
                }
            }
        }
    }
}

/// Copies the beginnings of rows `stride` apart to rows side by side.
fn gather(input: &[f32], stride: usize, output: &mut [f32], width: usize) {
    for (row, output) in output.chunks_exact_mut(width).enumerate() {
        output.copy_from_slice(&input[row * stride..][..width]);
    }
}

kernel! {
    /// Rotates one head of a sequence by its positions, and scales it: from rows `stride` apart to rows side by side.
    fn rotate(input: &[f32], stride: usize, rope: &RopeTable, scale: f32, output: &mut [f32]) = rotate_with;
}

#[inline(always)]
fn rotate_with<S: Simd>(simd: S, input: &[f32], stride: usize, rope: &RopeTable, scale: f32, output: &mut [f32]) {
    let head_dim = rope.head_dim();
    for position in 0..output.len() / head_dim {
        let input = &input[position * stride..][..head_dim];
        turn(simd, input, rope.at(position), [scale, scale], &mut output[position * head_dim..][..head_dim]);
    }
}

kernel! {
    /// Rotates rows back that begin with this position, and scales them: the transpose of [`rotate`].
    fn rotate_back(input: &[f32], first: usize, rope: &RopeTable, scale: f32, output: &mut [f32]) = rotate_back_with;
}

#[inline(always)]
fn rotate_back_with<S: Simd>(simd: S, input: &[f32], first: usize, rope: &RopeTable, scale: f32, output: &mut [f32]) {
    let head_dim = rope.head_dim();
    for row in 0..output.len() / head_dim {
        let columns = row * head_dim..(row + 1) * head_dim;
        turn(simd, &input[columns.clone()], rope.at(first + row), [scale, -scale], &mut output[columns]);
    }
}

/// Turns a row of pairs, whose second members stand in its second half: `scale` is for the cosine and for the sine.
#[inline(always)]
fn turn<S: Simd>(simd: S, input: &[f32], (cos, sin): (&[f32], &[f32]), scale: [f32; 2], output: &mut [f32]) {
    let half = cos.len();
    let ((first, second), (out_first, out_second)) = (input.split_at(half), output.split_at_mut(half));
    let (cos_scale, sin_scale) = (simd.splat(scale[0]), simd.splat(scale[1]));
    for_chunks!(half, chunk => {
        let (first, second) = (chunk.load(simd, first), chunk.load(simd, second));
        let cos = simd.mul(chunk.load(simd, cos), cos_scale);
        let sin = simd.mul(chunk.load(simd, sin), sin_scale);
        chunk.store(simd, out_first, simd.sub(simd.mul(first, cos), simd.mul(second, sin)));
        chunk.store(simd, out_second, simd.add(simd.mul(second, cos), simd.mul(first, sin)));
    });
}

kernel! {
    /// Softmax of each row over the keys up to its query; zero beyond.
    fn softmax(scores: &mut [f32], row: usize, first_query: usize, log_sums: &mut [f32]) = softmax_with;
}

#[inline(always)]
fn softmax_with<S: Simd>(simd: S, scores: &mut [f32], row: usize, first_query: usize, log_sums: &mut [f32]) {
    for (index, log_sum) in log_sums.iter_mut().enumerate() {
        let (past, future) = scores[index * row..][..row].split_at_mut(first_query + index + 1);
        let highest = simd.max_of(past);
        let sum = simd.exp_and_sum(past, highest);
        *log_sum = highest + sum.ln();
        simd.scale(past, 1.0 / sum);
        future.fill(0.0);
    }
}

kernel! {
    /// From scores and the gradient of the probabilities: probabilities into `scores`, gradient of the scores into
    /// `d_scores`. `inner` is, for each query, the inner product of its output and the gradient of it, which equals that
    /// of its probabilities and their gradient.
    fn softmax_backward(
        scores: &mut [f32],
        d_scores: &mut [f32],
        row: usize,
        first_query: usize,
        log_sums: &[f32],
        inner: &[f32],
    ) = softmax_backward_with;
}

#[inline(always)]
fn softmax_backward_with<S: Simd>(
    simd: S,
    scores: &mut [f32],
    d_scores: &mut [f32],
    row: usize,
    first_query: usize,
    log_sums: &[f32],
    inner: &[f32],
) {
    for (index, (&log_sum, &inner)) in log_sums.iter().zip(inner).enumerate() {
        let (past, future) = scores[index * row..][..row].split_at_mut(first_query + index + 1);
        let (d_past, d_future) = d_scores[index * row..][..row].split_at_mut(past.len());
        let (log_sum, inner) = (simd.splat(log_sum), simd.splat(inner));
        for_chunks!(past.len(), chunk => {
            let probability = simd.exp(simd.sub(chunk.load(simd, past), log_sum));
            let gradient = simd.mul(probability, simd.sub(chunk.load(simd, d_past), inner));
            chunk.store(simd, past, probability);
            chunk.store(simd, d_past, gradient);
        });
        future.fill(0.0);
        d_future.fill(0.0);
    }
}

kernel! {
    /// Inner products of the beginnings of rows `stride` apart.
    fn inner_products(a: &[f32], b: &[f32], stride: usize, width: usize, output: &mut [f32]) = inner_products_with;
}

#[inline(always)]
fn inner_products_with<S: Simd>(simd: S, a: &[f32], b: &[f32], stride: usize, width: usize, output: &mut [f32]) {
    for (row, output) in output.iter_mut().enumerate() {
        *output = simd.dot(&a[row * stride..][..width], &b[row * stride..][..width]);
    }
}

struct BackwardScratch {
    query: Vec<f32>,            // [context, head_dim], rotated and scaled
    key: Vec<f32>,              // [context, head_dim], rotated
    key_transposed: Vec<f32>,   // [head_dim, row_of(context)]
    value_transposed: Vec<f32>, // [head_dim, row_of(context)]
    scores: Vec<f32>,           // [QUERIES_PER_BLOCK, row_of(context)]
    d_scores: Vec<f32>,         // [QUERIES_PER_BLOCK, row_of(context)]
    d_query: Vec<f32>,          // [QUERIES_PER_BLOCK, head_dim], still rotated
    turned: Vec<f32>,           // [QUERIES_PER_BLOCK, head_dim], the gradient of queries as they came
    d_key: Vec<f32>,            // [context, head_dim], still rotated
    d_value: Vec<f32>,          // [context, head_dim]
    inner: Vec<f32>,            // [QUERIES_PER_BLOCK]
}

impl BackwardScratch {
    fn new(context: usize, head_dim: usize) -> Self {
        let block = QUERIES_PER_BLOCK.min(context);
        Self {
            query: vec![0.0; context * head_dim],
            key: vec![0.0; context * head_dim],
            key_transposed: vec![0.0; head_dim * row_of(context)],
            value_transposed: vec![0.0; head_dim * row_of(context)],
            scores: vec![0.0; block * row_of(context)],
            d_scores: vec![0.0; block * row_of(context)],
            d_query: vec![0.0; block * head_dim],
            turned: vec![0.0; block * head_dim],
            d_key: vec![0.0; context * head_dim],
            d_value: vec![0.0; context * head_dim],
            inner: vec![0.0; block],
        }
    }

    fn run(&mut self, task: Task<'_>, saved: &Saved, gradient: &[f32], d_qkv: &Shared<'_>) {
        let Saved { qkv, output, log_sums, geometry: Geometry { layout, context, rope } } = saved;
        let (context, head_dim, width, out_width) =
            (*context, layout.head_dim, layout.qkv_width(), layout.query_width());
        let first_row = task.first_row();
        let rows = &elements(qkv)[first_row * width..(first_row + context) * width];
        let outputs = &elements(output)[first_row * out_width..(first_row + context) * out_width];
        let gradient = &gradient[first_row * out_width..(first_row + context) * out_width];

        let whole_row = row_of(context);
        rotate(&rows[task.key().start..], width, rope, 1.0, &mut self.key);
        transpose([context, head_dim], &self.key, head_dim, &mut self.key_transposed, whole_row);
        transpose([context, head_dim], &rows[task.value().start..], width, &mut self.value_transposed, whole_row);
        for member in 0..layout.group_size() {
            let columns = task.query(member);
            let head = self.head_index(&task, member);
            let log_sums = &log_sums[head * context..(head + 1) * context];
            rotate(&rows[columns.start..], width, rope, layout.score_scale(), &mut self.query);
            // The last block reaches every key, so taking it first lets it overwrite the sums that others add to.
            for (from, to) in blocks(context).rev() {
                let sums = if member == 0 && to == context { Output::Overwrite } else { Output::Accumulate };
                let (count, row) = (to - from, row_of(to));
                let (scores, d_scores) = (&mut self.scores[..count * row], &mut self.d_scores[..count * row]);
                let block = from * out_width + columns.start;
                let block_gradient = Matrix::rows(&gradient[block..], out_width);
                let query = &self.query[from * head_dim..to * head_dim];
                multiply(
                    [count, to, head_dim],
                    MatrixMut::rows(scores, row),
                    Output::Overwrite,
                    Matrix::rows(query, head_dim),
                    Matrix::rows(&self.key_transposed, whole_row),
                    1.0,
                    Threads::One,
                );
                multiply(
                    [count, to, head_dim],
                    MatrixMut::rows(d_scores, row),
                    Output::Overwrite,
                    block_gradient,
                    Matrix::rows(&self.value_transposed, whole_row),
                    1.0,
                    Threads::One,
                );
                let inner = &mut self.inner[..count];
                inner_products(&outputs[block..], &gradient[block..], out_width, head_dim, inner);
                softmax_backward(scores, d_scores, row, from, &log_sums[from..to], inner);
                multiply(
                    [to, head_dim, count],
                    MatrixMut::rows(&mut self.d_value, head_dim),
                    sums,
                    Matrix::columns(scores, row),
                    block_gradient,
                    1.0,
                    Threads::One,
                );
                multiply(
                    [to, head_dim, count],
                    MatrixMut::rows(&mut self.d_key, head_dim),
                    sums,
                    Matrix::columns(d_scores, row),
                    Matrix::rows(query, head_dim),
                    1.0,
                    Threads::One,
                );
                let d_query = &mut self.d_query[..count * head_dim];
                multiply(
                    [count, head_dim, to],
                    MatrixMut::rows(d_query, head_dim),
                    Output::Overwrite,
                    Matrix::rows(d_scores, row),
                    Matrix::rows(&self.key, head_dim),
                    1.0,
                    Threads::One,
                );
                let turned = &mut self.turned[..count * head_dim];
                rotate_back(d_query, from, rope, layout.score_scale(), turned);
                for (query, d_query) in (from..to).zip(turned.chunks_exact(head_dim)) {
                    // SAFETY: the rows of a sequence and the columns of a query head belong to one task.
                    unsafe { d_qkv.row(first_row + query, columns.clone()) }.copy_from_slice(d_query);
                }
            }
        }
        // No query is needed any more, so its room is free.
        rotate_back(&self.d_key, 0, rope, 1.0, &mut self.query);
        let gradients = self.query.chunks_exact(head_dim).zip(self.d_value.chunks_exact(head_dim));
        for (position, (d_key, d_value)) in gradients.enumerate() {
            // SAFETY: the rows of a sequence and the columns of a key head and its value head belong to one task, and
            // the two parts are different columns.
            let (key, value) =
                unsafe { (d_qkv.row(first_row + position, task.key()), d_qkv.row(first_row + position, task.value())) };
            key.copy_from_slice(d_key);
            value.copy_from_slice(d_value);
        }
    }

    /// Index of a query head among all of the batch, as log-sums are laid out.
    fn head_index(&self, task: &Task<'_>, member: usize) -> usize {
        let layout = &task.geometry.layout;
        (task.sequence * layout.n_kv_heads + task.key_head) * layout.group_size() + member
    }
}

#[derive(Debug)]
pub(super) struct Gradient;

impl Backward<Flex, 1> for Gradient {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(&grads.consume::<Flex>(&ops.node));
        let ([for_qkv], saved) = (ops.parents, ops.state);
        let Some(node) = for_qkv else { return };
        let [tokens, width] = dims(&saved.qkv);
        let layout = saved.geometry.layout;
        let mut output = unwritten(tokens * width);
        let shared = Shared::new(&mut output, width);
        let tasks = tokens / saved.geometry.context * layout.n_kv_heads;
        (0..tasks).into_par_iter().for_each_init(
            || BackwardScratch::new(saved.geometry.context, layout.head_dim),
            |scratch, index| {
                let task = Task {
                    geometry: &saved.geometry,
                    sequence: index / layout.n_kv_heads,
                    key_head: index % layout.n_kv_heads,
                };
                scratch.run(task, &saved, elements(&gradient), &shared);
            },
        );
        grads.register::<Flex>(node.id, tensor([tokens, width], output));
    }
}

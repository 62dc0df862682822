//! Search strategies over any space: random search, regularised evolution and a Gaussian-process surrogate, on
//! the same budget. A strategy is asked for one point at a time and sees everything that was judged before.

mod evolve;
mod gaussian;
mod surrogate;

pub use evolve::Evolution;
pub use surrogate::Surrogate;

use rand_pcg::Pcg64Mcg;

/// What can be searched: how to draw, change and describe its points.
pub trait Space {
    /// A network of the space.
    type Point: Clone;
    /// A point at random.
    fn draw(&self, rng: &mut Pcg64Mcg) -> Self::Point;
    /// The point after one change.
    fn mutate(&self, rng: &mut Pcg64Mcg, point: &Self::Point) -> Self::Point;
    /// Equal for points that are the same network.
    fn key(&self, point: &Self::Point) -> String;
    /// Sorted by number: features that are not zero. The numbers need not be consecutive.
    fn features(&self, point: &Self::Point) -> Vec<(u64, f64)>;
}

/// A point and its reward, of which more is better.
#[derive(Clone, Debug)]
pub struct Judged<P> {
    /// The point.
    pub point: P,
    /// The reward.
    pub reward: f64,
}

/// Decides which point is judged next.
pub trait Strategy<S: Space> {
    /// The next point after `history`; `None` when nothing new is found.
    fn next(&mut self, space: &S, rng: &mut Pcg64Mcg, history: &[Judged<S::Point>]) -> Option<S::Point>;
}

/// Random search: points drawn independently; the control.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uniform;

impl<S: Space> Strategy<S> for Uniform {
    fn next(&mut self, space: &S, rng: &mut Pcg64Mcg, _: &[Judged<S::Point>]) -> Option<S::Point> {
        Some(space.draw(rng))
    }
}

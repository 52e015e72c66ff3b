//! Random numbers under the names of rand 0.4.
use std::cell::Cell;

pub trait Rng {
    fn next_u64(&mut self) -> u64;
    fn next_u32(&mut self) -> u32 { self.next_u64() as u32 }
    fn gen<T: Random>(&mut self) -> T where Self: Sized { T::random(self.next_u64()) }
    fn gen_range<T: Range>(&mut self, low: T, high: T) -> T where Self: Sized { T::between(low, high, self.next_u64()) }
    fn gen_bool(&mut self, p: f64) -> bool where Self: Sized { f64::random(self.next_u64()) < p }
    fn shuffle<T>(&mut self, values: &mut [T]) where Self: Sized {
        for i in (1..values.len()).rev() { values.swap(i, (self.next_u64() % (i as u64 + 1)) as usize); }
    }
    fn choose<'a, T>(&mut self, values: &'a [T]) -> Option<&'a T> where Self: Sized {
        if values.is_empty() { None } else { Some(&values[(self.next_u64() % values.len() as u64) as usize]) }
    }
}

pub trait Random { fn random(word: u64) -> Self; }
pub trait Range { fn between(low: Self, high: Self, word: u64) -> Self; }

macro_rules! whole { ($($t:ty),*) => { $(
    impl Random for $t { fn random(word: u64) -> $t { word as $t } }
    impl Range for $t {
        fn between(low: $t, high: $t, word: u64) -> $t {
            assert!(low < high, "Rng.gen_range called with low >= high");
            (low as i128 + (word as i128 % (high as i128 - low as i128))) as $t
        }
    }
)* } }
whole!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
impl Random for bool { fn random(word: u64) -> bool { word & 1 == 1 } }
impl Random for f64 { fn random(word: u64) -> f64 { (word >> 11) as f64 / (1u64 << 53) as f64 } }
impl Random for f32 { fn random(word: u64) -> f32 { (word >> 40) as f32 / (1u32 << 24) as f32 } }
impl Range for f64 { fn between(low: f64, high: f64, word: u64) -> f64 { low + (high - low) * f64::random(word) } }
impl Range for f32 { fn between(low: f32, high: f32, word: u64) -> f32 { low + (high - low) * f32::random(word) } }

thread_local!(static STATE: Cell<u64> = Cell::new(0x9E37_79B9_7F4A_7C15));

#[derive(Clone, Debug, Default)]
pub struct ThreadRng;
impl Rng for ThreadRng {
    fn next_u64(&mut self) -> u64 {
        STATE.with(|state| {
            let mut x = state.get();
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            state.set(x);
            x.wrapping_mul(0x2545_F491_4F6C_DD1D)
        })
    }
}
impl<R: Rng> Rng for &mut R { fn next_u64(&mut self) -> u64 { (**self).next_u64() } }
pub fn thread_rng() -> ThreadRng { ThreadRng }
pub fn random<T: Random>() -> T { thread_rng().gen() }

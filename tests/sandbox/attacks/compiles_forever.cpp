// Keeps the compiler busy.
template <int A, int B> struct Slow { static const int value = Slow<A - 1, B>::value + Slow<A - 1, B + 1>::value; };
template <int B> struct Slow<0, B> { static const int value = 1; };
int main() { return Slow<800, 0>::value; }

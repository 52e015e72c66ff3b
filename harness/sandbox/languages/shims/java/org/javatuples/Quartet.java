package org.javatuples;

public final class Quartet<A, B, C, D> extends Tuple {
    public Quartet(A value0, B value1, C value2, D value3) { super(value0, value1, value2, value3); }

    public static <A, B, C, D> Quartet<A, B, C, D> with(A value0, B value1, C value2, D value3) { return new Quartet<>(value0, value1, value2, value3); }

    @SuppressWarnings("unchecked") public A getValue0() { return (A) getValue(0); }
    @SuppressWarnings("unchecked") public B getValue1() { return (B) getValue(1); }
    @SuppressWarnings("unchecked") public C getValue2() { return (C) getValue(2); }
    @SuppressWarnings("unchecked") public D getValue3() { return (D) getValue(3); }
    public <Z> Quartet<Z, B, C, D> setAt0(Z value) { return new Quartet<>(value, getValue1(), getValue2(), getValue3()); }
    public <Z> Quartet<A, Z, C, D> setAt1(Z value) { return new Quartet<>(getValue0(), value, getValue2(), getValue3()); }
    public <Z> Quartet<A, B, Z, D> setAt2(Z value) { return new Quartet<>(getValue0(), getValue1(), value, getValue3()); }
    public <Z> Quartet<A, B, C, Z> setAt3(Z value) { return new Quartet<>(getValue0(), getValue1(), getValue2(), value); }
}

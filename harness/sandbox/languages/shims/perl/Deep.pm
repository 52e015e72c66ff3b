# The one function of Test::Deep that tests use: whether two values are built alike, down to their texts.
package Test::Deep;
use strict;
use warnings;
use Scalar::Util qw(blessed reftype);
use parent 'Exporter';

our @EXPORT = qw(eq_deeply);

sub eq_deeply {
    my ($got, $expected) = @_;
    return !defined $got && !defined $expected if !defined $got || !defined $expected;
    return !ref $got && !ref $expected && "$got" eq "$expected" if !ref $got || !ref $expected;
    return 0 if (blessed($got) // '') ne (blessed($expected) // '') || reftype($got) ne reftype($expected);
    if (reftype($expected) eq 'ARRAY') {
        return 0 if @$got != @$expected;
        eq_deeply($got->[$_], $expected->[$_]) || return 0 for 0 .. $#$expected;
        return 1;
    }
    if (reftype($expected) eq 'HASH') {
        return 0 if keys %$got != keys %$expected;
        exists $got->{$_} && eq_deeply($got->{$_}, $expected->{$_}) || return 0 for keys %$expected;
        return 1;
    }
    return eq_deeply($$got, $$expected) if reftype($expected) eq 'SCALAR' || reftype($expected) eq 'REF';
    return $got == $expected;
}

1;

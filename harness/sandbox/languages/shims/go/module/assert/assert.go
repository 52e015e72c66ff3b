// Package assert has the assertions that the tests use.
package assert

import (
	"bytes"
	"math"
	"reflect"
)

type TestingT interface {
	Errorf(format string, args ...interface{})
}

type Assertions struct{ t TestingT }

func New(t TestingT) *Assertions { return &Assertions{t} }

func ObjectsAreEqual(expected, actual interface{}) bool {
	if expected == nil || actual == nil {
		return expected == actual
	}
	if reflect.TypeOf(expected).Kind() == reflect.Func || reflect.TypeOf(actual).Kind() == reflect.Func {
		return false
	}
	exp, ok := expected.([]byte)
	if !ok {
		return reflect.DeepEqual(expected, actual)
	}
	act, ok := actual.([]byte)
	if !ok {
		return false
	}
	if exp == nil || act == nil {
		return exp == nil && act == nil
	}
	return bytes.Equal(exp, act)
}

func isNil(value interface{}) bool {
	if value == nil {
		return true
	}
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Ptr, reflect.Slice:
		return v.IsNil()
	}
	return false
}

func check(t TestingT, ok bool, what string, values ...interface{}) bool {
	if !ok {
		t.Errorf("%s: %#v", what, values)
	}
	return ok
}

func float(value interface{}) float64 {
	v := reflect.ValueOf(value)
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	case v.CanFloat():
		return v.Float()
	}
	return math.NaN()
}

func Equal(t TestingT, expected, actual interface{}, more ...interface{}) bool {
	return check(t, ObjectsAreEqual(expected, actual), "not equal", expected, actual)
}

func NotEqual(t TestingT, expected, actual interface{}, more ...interface{}) bool {
	return check(t, !ObjectsAreEqual(expected, actual), "equal", expected)
}

func True(t TestingT, value bool, more ...interface{}) bool {
	return check(t, value, "should be true")
}

func False(t TestingT, value bool, more ...interface{}) bool {
	return check(t, !value, "should be false")
}

func Nil(t TestingT, value interface{}, more ...interface{}) bool {
	return check(t, isNil(value), "should be nil", value)
}

func NotNil(t TestingT, value interface{}, more ...interface{}) bool {
	return check(t, !isNil(value), "should not be nil")
}

func InDelta(t TestingT, expected, actual interface{}, delta float64, more ...interface{}) bool {
	return check(t, math.Abs(float(expected)-float(actual)) <= delta, "too far apart", expected, actual)
}

func length(value interface{}) int {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Array, reflect.Chan, reflect.Map, reflect.Slice, reflect.String:
		return v.Len()
	}
	return -1
}

func Len(t TestingT, value interface{}, size int, more ...interface{}) bool {
	return check(t, length(value) == size, "of another length", value, size)
}

func Empty(t TestingT, value interface{}, more ...interface{}) bool {
	return check(t, value == nil || length(value) == 0 || reflect.ValueOf(value).IsZero(), "not empty", value)
}

func ElementsMatch(t TestingT, left, right interface{}, more ...interface{}) bool {
	if length(left) <= 0 && length(right) <= 0 {
		return true
	}
	if length(left) != length(right) {
		return check(t, false, "other elements", left, right)
	}
	a, b := reflect.ValueOf(left), reflect.ValueOf(right)
	used := make([]bool, b.Len())
	for i := 0; i < a.Len(); i++ {
		found := false
		for j := 0; j < b.Len() && !found; j++ {
			if !used[j] && ObjectsAreEqual(a.Index(i).Interface(), b.Index(j).Interface()) {
				used[j], found = true, true
			}
		}
		if !found {
			return check(t, false, "other elements", left, right)
		}
	}
	return true
}

func (a *Assertions) Len(value interface{}, size int, more ...interface{}) bool { return Len(a.t, value, size) }
func (a *Assertions) Empty(value interface{}, more ...interface{}) bool { return Empty(a.t, value) }
func (a *Assertions) ElementsMatch(left, right interface{}, more ...interface{}) bool {
	return ElementsMatch(a.t, left, right)
}

func (a *Assertions) Equal(expected, actual interface{}, more ...interface{}) bool {
	return Equal(a.t, expected, actual)
}

func (a *Assertions) NotEqual(expected, actual interface{}, more ...interface{}) bool {
	return NotEqual(a.t, expected, actual)
}

func (a *Assertions) True(value bool, more ...interface{}) bool  { return True(a.t, value) }
func (a *Assertions) False(value bool, more ...interface{}) bool { return False(a.t, value) }
func (a *Assertions) Nil(value interface{}, more ...interface{}) bool { return Nil(a.t, value) }
func (a *Assertions) NotNil(value interface{}, more ...interface{}) bool { return NotNil(a.t, value) }
func (a *Assertions) InDelta(expected, actual interface{}, delta float64, more ...interface{}) bool {
	return InDelta(a.t, expected, actual, delta)
}

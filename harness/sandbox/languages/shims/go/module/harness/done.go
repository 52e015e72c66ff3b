// Package harness tells that a test ran to its end.
package harness

import (
	"fmt"
	"testing"
)

func Done(t *testing.T, word string) {
	if !t.Failed() {
		fmt.Println(word)
	}
}

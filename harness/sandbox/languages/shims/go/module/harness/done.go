// Package harness tells that a test ran to its end.
package harness

import (
	"fmt"
	"os"
	"testing"
)

func Done(t *testing.T, word string) {
	if os.Getenv("HARNESS_CONTROL") != "" {
		t.Errorf("the control is on")
	}
	if !t.Failed() {
		fmt.Println(word)
	}
}

//go:build tools

// Package tools names the program that is built, so that go.mod and go.sum hold it.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"

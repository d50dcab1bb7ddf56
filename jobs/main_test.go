package jobs_test

import (
	"testing"

	"left4me/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

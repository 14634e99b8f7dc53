// lua-health runs a health check in Lua as Argo CD does: the object in the global obj, the libraries that Argo CD opens, a table
// with status and message as the result.
//
// It reads {"script": …, "object": …} and answers {"status": …, "message": …}.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
)

type question struct {
	Script string `json:"script"`
	Object any    `json:"object"`
}

type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case float64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	case []any:
		table := state.NewTable()
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}

func open(state *lua.LState, name string, library lua.LGFunction) error {
	return state.CallByParam(lua.P{Fn: state.NewFunction(library), NRet: 0, Protect: true}, lua.LString(name))
}

func judge(asked question) (*answer, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	err := errors.Join(
		open(state, lua.LoadLibName, lua.OpenPackage),
		open(state, lua.BaseLibName, lua.OpenBase),
		open(state, lua.TabLibName, lua.OpenTable),
	)
	if err != nil {
		return nil, err
	}
	state.SetGlobal("obj", value(state, asked.Object))
	if err := state.DoString(asked.Script); err != nil {
		return nil, err
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returned %s instead of a table", state.Get(-1).Type())
	}
	text := func(name string) string { return lua.LVAsString(result.RawGetString(name)) }
	return &answer{Status: text("status"), Message: text("message")}, nil
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	answered, err := judge(asked)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answered)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

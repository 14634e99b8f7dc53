// The template oracle answers what Go's text/template with sprig makes of a template.
//
// It reads one JSON case a line and answers with one JSON line each. Bytes travel as base64.
// With the argument "functions" it prints the names and types of sprig's generic functions instead.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

type question struct {
	Template []byte            `json:"template"`
	Data     map[string][]byte `json:"data"`
}

type answer struct {
	Ok     bool   `json:"ok"`
	Output []byte `json:"output"`
	Error  string `json:"error"`
}

func functions() template.FuncMap {
	table := sprig.GenericFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(table, name)
	}
	return table
}

func render(asked question) (reply answer) {
	defer func() {
		if cause := recover(); cause != nil {
			reply = answer{Error: fmt.Sprint("panic: ", cause)}
		}
	}()
	context := make(map[string]string, len(asked.Data))
	for key, value := range asked.Data {
		context[key] = string(value)
	}
	parsed, err := template.New("case").Funcs(functions()).Parse(string(asked.Template))
	if err != nil {
		return answer{Error: err.Error()}
	}
	var output bytes.Buffer
	if err := parsed.Execute(&output, context); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Ok: true, Output: append([]byte{}, output.Bytes()...)}
}

func listFunctions() {
	table := functions()
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(name, reflect.TypeOf(table[name]))
	}
}

func answerAll() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		if err := encoder.Encode(render(asked)); err != nil {
			return err
		}
		if err := output.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "functions" {
		listFunctions()
		return
	}
	if err := answerAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

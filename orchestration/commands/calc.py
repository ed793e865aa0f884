"""``plumbline calc``: cases to the production rules."""

import click


@click.command()
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--list", "as_list", is_flag=True, help="Every kind with its inputs and results.")
def calc(file, as_list: bool) -> None:
    """Answer a JSON list of {"id", "kind", "inputs"} from FILE (- reads standard input), in order, as JSON.

    A case that cannot be computed gives {"id", "error"}; the others still run.
    """
    import orjson

    from orchestration.errors import UserError
    from streaming.risk import calc as rules

    if as_list:
        for kind in rules.kinds().values():
            click.echo(f"{kind.name}\n    inputs  {kind.inputs}\n    result  {kind.result}")
        return
    if file is None:
        raise UserError("calc: expected a file of cases, - for standard input, or --list; found none")
    try:
        cases = orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        raise UserError(f"{file.name}: expected JSON, found {error}") from None
    if not isinstance(cases, list):
        raise UserError(f"{file.name}: expected a list of cases, found {type(cases).__name__}")
    answers = rules.calculate(cases)
    click.echo(orjson.dumps(answers, option=orjson.OPT_INDENT_2).decode())
